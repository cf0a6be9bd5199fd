# SPDX-License-Identifier: Apache-2.0
"""The depth network: Monodepth2's sizes, its decoder layer by layer, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import MonodepthUNet, MonodepthUNetConfig
from kd_perception.models.monodepth_unet import Decoder
from kd_perception.models.resnet import ResNet, ResNetConfig


def tiny(**changes) -> MonodepthUNet:
    torch.manual_seed(0)
    return MonodepthUNet(MonodepthUNetConfig(**{'base_width': 4, **changes}))


def parameter_count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def convolution_weights(*pairs: tuple[int, int]) -> int:
    return sum(9 * entering * leaving + leaving for entering, leaving in pairs)


# Written out from the description of the decoder: each stage narrows, doubles the resolution and
# merges with the encoder; four heads. 64 and 256 channels at a quarter of the image are what the
# two kinds of ResNet have.
@pytest.mark.parametrize(
    ('depth', 'encoder', 'decoder', 'skips'),
    [
        (18, 11_176_512, 3_152_724, (64, 64, 128, 256, 512)),
        (50, 23_508_032, 9_014_100, (64, 256, 512, 1024, 2048)),
    ],
)
def test_parts_have_the_sizes_of_monodepth2(depth, encoder, decoder, skips):
    with torch.device('meta'):
        network = MonodepthUNet(MonodepthUNetConfig.preset('paper', encoder_depth=depth))
    assert parameter_count(network.encoder) == encoder
    written_out = convolution_weights(
        *((skips[4], 256), (256 + skips[3], 256)),
        *((256, 128), (128 + skips[2], 128)),
        *((128, 64), (64 + skips[1], 64)),
        *((64, 32), (32 + skips[0], 32)),
        *((32, 16), (16, 16)),
        *((16, 1), (32, 1), (64, 1), (128, 1)),
    )
    assert written_out == decoder
    assert parameter_count(network.disparity_decoder) == decoder
    assert parameter_count(network.sigma_decoder) == decoder
    assert parameter_count(network) == encoder + 2 * decoder


@pytest.mark.parametrize(
    ('preset', 'million'), [('paper', 17.48), ('small', 4.38), ('tiny', 1.10)]
)
def test_presets_have_the_sizes_that_the_documentation_gives(preset, million):
    with torch.device('meta'):
        network = MonodepthUNet(MonodepthUNetConfig.preset(preset))
    assert parameter_count(network) / 1e6 == pytest.approx(million, abs=0.005)


def test_least_sigma_is_added_to_every_sigma():
    image = torch.rand(1, 3, 64, 64)
    plain, floored = tiny().eval()(image), tiny(min_sigma=0.01).eval()(image)
    for with_floor, without in zip(floored.log_sigmas, plain.log_sigmas, strict=True):
        torch.testing.assert_close(with_floor.exp(), without.exp() + 0.01)
    assert all(map(torch.equal, floored.disparities, plain.disparities))


def test_a_surer_and_surer_network_with_a_least_sigma_stays_finite():
    network = tiny(min_sigma=0.001)
    with torch.no_grad():
        for head in network.sigma_decoder.heads:
            head.bias.fill_(-1.0e4)
    output = network(torch.rand(1, 3, 64, 64))
    loss = sum((1e-3 / y.exp() + y).mean() for y in output.log_sigmas)
    assert float(loss.detach()) == pytest.approx(4 * (1.0 + math.log(0.001)), rel=1e-5)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in network.sigma_decoder.parameters())
    assert not any(y.isinf().any() for y in output.log_sigmas)
    for wrong in (-1e-3, math.inf, math.nan):
        with pytest.raises(ConfigError, match='min_sigma must be >= 0'):
            tiny(min_sigma=wrong)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_preset_at_the_size_of_kitti_forward_and_backward():
    torch.manual_seed(0)
    network = MonodepthUNet(MonodepthUNetConfig.preset('paper')).train()
    output = network(torch.rand(1, 3, 192, 640))
    for maps in output:
        sizes = [(192, 640), (96, 320), (48, 160), (24, 80)]
        assert [tuple(y.shape) for y in maps] == [(1, 1, *size) for size in sizes]
        assert all(y.isfinite().all() for y in maps)
    loss_of(output).backward()
    assert_every_gradient_is_there(network)


def loss_of(output) -> torch.Tensor:
    return sum(y.square().mean() for maps in output for y in maps)


def assert_every_gradient_is_there(network: torch.nn.Module) -> None:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('depth', [18, 34, 50])
@pytest.mark.parametrize('channels', [1, 3])
def test_every_encoder_gives_four_scales_and_trains(depth, channels):
    network = tiny(encoder_depth=depth, in_channels=channels).train()
    output = network(torch.rand(2, channels, 64, 96))
    for maps in output:
        sizes = [(64, 96), (32, 48), (16, 24), (8, 12)]
        assert [tuple(y.shape) for y in maps] == [(2, 1, *size) for size in sizes]
    for disparity in output.disparities:
        assert disparity.min() > 0 and disparity.max() < 1
    loss_of(output).backward()
    assert_every_gradient_is_there(network)


def test_uncertainty_is_linear_and_has_no_share_in_the_depth():
    network = tiny().eval()
    image = torch.rand(1, 3, 64, 96)
    before = network(image)
    with torch.no_grad():
        for head in network.sigma_decoder.heads:
            head.weight.mul_(-30.0)
            head.bias.mul_(-30.0)
    after = network(image)
    for first, second in zip(before.log_sigmas, after.log_sigmas, strict=True):
        torch.testing.assert_close(second, -30.0 * first, atol=1e-4, rtol=1e-4)
    for first, second in zip(before.disparities, after.disparities, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ('taught', 'other', 'kind'),
    [
        ('disparity_decoder', 'sigma_decoder', 'disparities'),
        ('sigma_decoder', 'disparity_decoder', 'log_sigmas'),
    ],
)
def test_what_teaches_one_decoder_reaches_the_encoder_but_not_the_other(taught, other, kind):
    network = tiny().train()
    maps = getattr(network(torch.rand(2, 3, 64, 96)), kind)
    sum(y.square().mean() for y in maps).backward()
    assert_every_gradient_is_there(getattr(network, taught))
    assert_every_gradient_is_there(network.encoder)
    assert all(p.grad is None for p in getattr(network, other).parameters())


def test_encoder_sees_the_normalized_image():
    network = tiny().eval()
    image = torch.rand(1, 3, 64, 96)
    features = network.encoder((image - 0.45) / 0.225)
    expected = network.disparity_decoder(features)
    for found, raw in zip(network(image).disparities, expected, strict=True):
        torch.testing.assert_close(found, 1.0 / (1.0 + (-raw).exp()))


def mirrored_convolution(x: np.ndarray, conv: torch.nn.Conv2d) -> np.ndarray:
    weight = conv.weight.detach().double().numpy()
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode='reflect')
    height, width = x.shape[1:]
    taps = (
        np.einsum('oi,ihw->ohw', weight[:, :, i, j], padded[:, i : i + height, j : j + width])
        for i in range(3)
        for j in range(3)
    )
    return sum(taps) + conv.bias.detach().double().numpy()[:, None, None]


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(x))


def test_decoder_computes_what_monodepth2_describes():
    torch.manual_seed(1)
    decoder = Decoder((5, 6, 7, 8, 9), (2, 3, 4, 5, 6))
    features = [torch.randn(1, c, 64 >> k, 96 >> k) for k, c in enumerate((5, 6, 7, 8, 9), 1)]
    with torch.no_grad():
        found = decoder(features)
    skips = [None, *(f[0].double().numpy() for f in features)]
    y, expected = skips[5], {}
    for stage in (4, 3, 2, 1, 0):
        y = elu(mirrored_convolution(y, decoder.narrow[stage][0]))
        y = y.repeat(2, axis=1).repeat(2, axis=2)
        if skips[stage] is not None:
            y = np.concatenate([y, skips[stage]])
        y = elu(mirrored_convolution(y, decoder.merge[stage][0]))
        if stage < 4:
            expected[stage] = mirrored_convolution(y, decoder.heads[stage])
    assert len(found) == 4
    for scale, y in enumerate(found):
        np.testing.assert_allclose(y[0].numpy(), expected[scale], atol=1e-5)


@pytest.mark.parametrize(
    'shape', [(1, 3, 60, 96), (1, 3, 64, 100), (1, 3, 32, 96), (1, 1, 64, 96), (3, 64, 96)]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match='multiples of 32 and at least 64'):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'base_width': 6}, 'multiple of 4'),
        ({'base_width': 0}, 'multiple of 4'),
        ({'encoder_depth': 20}, 'depth must be one of'),
        ({'in_channels': 0}, 'in_channels'),
        ({'min_depth_m': 0.0}, '0 < min_depth_m'),
        ({'min_depth_m': 9.0, 'max_depth_m': 9.0}, 'got 9.0 and 9.0 m'),
        ({'max_depth_m': float('nan')}, 'max_depth_m'),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        MonodepthUNetConfig(**changes)


def test_unknown_preset_is_refused():
    with pytest.raises(ConfigError, match=r"\['paper', 'small', 'tiny'\], got 'large'"):
        MonodepthUNetConfig.preset('large')


def test_imagenet_weights_reach_the_encoder(tmp_path):
    source = ResNet(ResNetConfig(18, base_width=4))
    torch.save(source.state_dict(), tmp_path / 'resnet18.pth')
    network = tiny()
    network.load_imagenet_weights(tmp_path / 'resnet18.pth')
    for name, value in source.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[name], value), name
