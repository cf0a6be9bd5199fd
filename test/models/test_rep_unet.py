# SPDX-License-Identifier: Apache-2.0
"""The network's sizes, its folding and what it refuses."""

from __future__ import annotations

import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import RepUNet, RepUNetConfig, build_network

SMALL = RepUNetConfig(1, 9, (4, 8, 8, 16, 16), (1, 2, 1, 2, 1), 8)


def randomized(config: RepUNetConfig, seed: int = 0) -> RepUNet:
    """A network in eval mode whose batch normalizations are far from the identity."""
    torch.manual_seed(seed)
    network = RepUNet(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, -1.2, 1.2)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
    return network


def parameter_count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    'config',
    [SMALL, *map(RepUNetConfig.preset, ('rep_unet_s', 'rep_unet_depth', 'rep_unet_depth_s'))],
    ids=lambda c: f'{c.widths[0]}-{c.out_channels}',
)
def test_folded_equals_unfolded(config):
    network = randomized(config)
    image = torch.rand(2, config.in_channels, 64, 96)
    with torch.no_grad():
        expected, folded = network(image), network.folded()(image)
    assert expected.abs().max() > 0.05
    torch.testing.assert_close(folded, expected, atol=1e-5, rtol=1e-5)


def test_folding_leaves_the_trained_network_as_it_was():
    network = randomized(SMALL)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.folded()
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize(
    ('name', 'million', 'gmac'), [('rep_unet', 1.62, 4.32), ('rep_unet_s', 0.69, 1.15)]
)
def test_presets_have_the_published_sizes(name, million, gmac):
    from torch.utils.flop_counter import FlopCounterMode

    network = RepUNet(RepUNetConfig.preset(name)).folded()
    assert parameter_count(network) / 1e6 == pytest.approx(million, abs=0.01)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 480, 640))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.01)


@pytest.mark.parametrize(
    ('name', 'million', 'gmac'), [('rep_unet_depth', 1.62, 1.74), ('rep_unet_depth_s', 0.69, 0.47)]
)
def test_depth_presets_have_the_sizes_that_were_chosen_for_wide_frames(name, million, gmac):
    from torch.utils.flop_counter import FlopCounterMode

    network = RepUNet(RepUNetConfig.preset(name)).folded()
    assert parameter_count(network) / 1e6 == pytest.approx(million, abs=0.01)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 192, 640))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.01)


@pytest.mark.parametrize('suffix', ['', '_s'])
@pytest.mark.parametrize('size', [(192, 640), (480, 640)])
def test_depth_presets_give_two_maps_at_a_quarter_of_either_frame(suffix, size):
    thermal = RepUNetConfig.preset(f'rep_unet{suffix}')
    depth = RepUNetConfig.preset(f'rep_unet_depth{suffix}')
    assert (depth.in_channels, depth.out_channels) == (3, 2)
    changes = {'in_channels': 3, 'out_channels': 2}
    assert depth == RepUNetConfig.preset(f'rep_unet{suffix}', **changes) != thermal
    with torch.device('meta'):
        maps = RepUNet(depth).eval()(torch.zeros(1, 3, *size))
    assert maps.shape == (1, 2, size[0] // 4, size[1] // 4)


def test_logits_are_at_a_quarter_of_the_input():
    network = RepUNet(SMALL).eval()
    assert network(torch.zeros(3, 1, 64, 96)).shape == (3, 9, 16, 24)


def test_the_head_sees_the_features():
    network, image = randomized(SMALL), torch.rand(2, 1, 64, 96)
    features = network.features(image)
    assert features.shape == (2, 8, 16, 24) and features.min() >= 0.0
    assert torch.equal(network.head(features), network(image))


def test_images_may_be_stored_pixel_by_pixel():
    network = randomized(RepUNetConfig(4, 9, SMALL.widths, SMALL.depths, 8))
    image = torch.rand(2, 4, 64, 96)
    features = network.features(image.to(memory_format=torch.channels_last))
    assert features.is_contiguous()
    assert torch.equal(features, network.features(image))


@pytest.mark.parametrize('shape', [(1, 1, 60, 64), (1, 1, 64, 72), (1, 3, 64, 64), (1, 64, 64)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match='multiples of 32'):
        RepUNet(SMALL)(torch.zeros(shape))


def test_architecture_round_trip_loads_folded_weights():
    folded = randomized(SMALL).folded()
    rebuilt = build_network(SMALL.architecture())
    rebuilt.load_state_dict(folded.state_dict())
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(rebuilt(image), folded(image))


def test_bad_sizes_are_refused():
    with pytest.raises(ConfigError, match='5 entries'):
        RepUNetConfig(widths=(16, 32))
    with pytest.raises(ConfigError, match='>= 1'):
        RepUNetConfig(depths=(1, 1, 0, 1, 1))
    with pytest.raises(ConfigError, match='rep_unet_s'):
        RepUNetConfig.preset('resnet')


@pytest.mark.parametrize(
    'config', [SMALL, RepUNetConfig.preset('rep_unet_depth_s')], ids=['classes', 'depth']
)
def test_every_weight_receives_a_gradient(config):
    torch.manual_seed(0)
    network = RepUNet(config).train()
    network(torch.rand(2, config.in_channels, 64, 64)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
