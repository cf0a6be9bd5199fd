# SPDX-License-Identifier: Apache-2.0
"""Teacher and student of channel-wise distillation: sizes by arithmetic, the head, its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import PSPNet, PSPNetConfig
from kd_perception.models.pspnet import STUDENT_DEPTH, TEACHER_DEPTH, PyramidPooling
from kd_perception.models.resnet import ResNet, ResNetConfig


def tiny(**changes) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(PSPNetConfig.preset('tiny', **changes))


def unit(kernel, in_channels, out_channels):
    """Weights of a convolution without bias and of its batch normalization."""
    return kernel**2 * in_channels * out_channels + 2 * out_channels


def stem(w):
    return unit(3, 3, w) + unit(3, w, w) + unit(3, w, 2 * w)


def heads(third, fourth, classes):
    """Pyramid pooling, its classifier and the auxiliary head, whose 3x3 convolution has a bias."""
    width = fourth // 4
    pyramid = 4 * unit(1, fourth, width) + unit(3, fourth + 4 * width, width)
    auxiliary = unit(3, third, width) + width
    return pyramid + auxiliary + 2 * (width * classes + classes)


def student_parameters(w, classes):
    """Two blocks of two 3x3 convolutions per layer, a shortcut where the width changes."""
    layers = 0
    for into, width in ((2 * w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)):
        layers += unit(3, into, width) + 3 * unit(3, width, width) + unit(1, into, width)
    return stem(w) + layers + heads(4 * w, 8 * w, classes)


def teacher_parameters(w, classes):
    """3, 4, 23 and 3 blocks of 1x1, 3x3 and 1x1 convolutions."""
    layers, into = 0, 2 * w
    for width, blocks in ((w, 3), (2 * w, 4), (4 * w, 23), (8 * w, 3)):
        out = 4 * width
        inner = unit(3, width, width) + unit(1, width, out)
        layers += unit(1, into, width) + inner + unit(1, into, out)
        layers += (blocks - 1) * (unit(1, out, width) + inner)
        into = out
    return stem(w) + layers + heads(16 * w, 32 * w, classes)


@pytest.mark.parametrize(
    ('preset', 'depth', 'classes', 'expected', 'million'),
    [
        ('paper', STUDENT_DEPTH, 19, student_parameters(64, 19), 13.07),
        ('paper', TEACHER_DEPTH, 19, teacher_parameters(64, 19), 70.44),
        ('tiny', STUDENT_DEPTH, 19, student_parameters(8, 19), 0.21),
        ('tiny', TEACHER_DEPTH, 19, teacher_parameters(8, 19), 1.12),
        ('paper', STUDENT_DEPTH, 9, student_parameters(64, 9), 13.07),
    ],
)
def test_number_of_weights(preset, depth, classes, expected, million):
    with torch.device('meta'):
        network = PSPNet(PSPNetConfig.preset(preset, depth=depth, out_channels=classes))
    count = sum(p.numel() for p in network.parameters())
    assert count == expected
    assert count / 1e6 == pytest.approx(million, abs=0.005)


@pytest.mark.parametrize(('depth', 'channels'), [(STUDENT_DEPTH, 128), (TEACHER_DEPTH, 512)])
def test_maps_of_the_paper(depth, channels):
    """Crops of 512x512 leave 65x65 places, of teacher and student alike."""
    with torch.device('meta'):
        output = PSPNet(PSPNetConfig(depth))(torch.zeros(2, 3, 512, 512))
    assert output.logits.shape == output.auxiliary_logits.shape == (2, 19, 65, 65)
    assert output.features.shape == (2, channels, 65, 65)


@pytest.mark.slow
def test_student_at_full_size_forward_and_backward():
    torch.manual_seed(0)
    network = PSPNet(PSPNetConfig(STUDENT_DEPTH))
    output = network(torch.rand(2, 3, 512, 512))
    assert output.logits.shape == (2, 19, 65, 65)
    (output.logits.square().mean() + 0.4 * output.auxiliary_logits.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('depth', [STUDENT_DEPTH, 50])
def test_tiny_networks_train(depth):
    network = tiny(depth=depth, in_channels=1, out_channels=9).train()
    output = network(torch.rand(2, 1, 48, 64))
    assert output.logits.shape == output.auxiliary_logits.shape == (2, 9, 7, 9)
    assert output.features.shape == (2, network.config.head_channels, 7, 9)
    (output.logits.square().mean() + output.auxiliary_logits.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_heads_see_the_third_layer_and_the_pooled_fourth():
    network = tiny().eval()
    image = torch.rand(1, 3, 48, 64)
    third, fourth = network.encoder(image)
    output = network(image)
    assert output.auxiliary_logits is None, 'nobody learns from it in eval mode'
    assert torch.equal(output.features, network.pyramid(fourth))
    assert torch.equal(output.logits, network.head(output.features))
    assert network.auxiliary(third).shape == output.logits.shape


def means_of_parts(x, size):
    """Means of `size` x `size` parts, which overlap where the sides are no multiples."""
    height, width = x.shape[1:]
    parts = np.empty((len(x), size, size))
    for i, j in np.ndindex(size, size):
        rows = slice(i * height // size, -(-(i + 1) * height // size))
        columns = slice(j * width // size, -(-(j + 1) * width // size))
        parts[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
    return parts


def stretched(x, side, axis):
    """Linear interpolation along an axis; first and last values stay at the ends."""
    places = np.linspace(0, x.shape[axis] - 1, side)
    return np.apply_along_axis(lambda v: np.interp(places, np.arange(len(v)), v), axis, x)


def test_pyramid_pooling_is_the_formula():
    torch.manual_seed(0)
    pyramid = PyramidPooling(3, 2).double().eval()
    for norm in (*(branch[2] for branch in pyramid.branches), pyramid.merge[1]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    x = torch.randn(1, 3, 7, 8, dtype=torch.float64)

    def normalized(y, norm):
        mean, scale = norm.running_mean.numpy(), np.sqrt(norm.running_var.numpy() + 1e-5)
        y = (y - mean[:, None, None]) / scale[:, None, None]
        return np.where(y > 0, y, 0.01 * y)

    maps = []
    for size, branch in zip((1, 2, 3, 6), pyramid.branches, strict=True):
        kernel = branch[1].weight.detach().numpy()[:, :, 0, 0]
        y = np.einsum('oi,ihw->ohw', kernel, means_of_parts(x[0].numpy(), size))
        maps.append(stretched(stretched(normalized(y, branch[2]), 7, 1), 8, 2))
    joined = np.pad(np.concatenate([*maps, x[0].numpy()]), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(joined, (3, 3), axis=(1, 2))
    merged = np.einsum('oikl,ihwkl->ohw', pyramid.merge[0].weight.detach().numpy(), windows)
    expected = normalized(merged, pyramid.merge[1])
    np.testing.assert_allclose(pyramid(x)[0].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_dropout_silences_whole_channels():
    network = tiny().train()
    features = network(torch.rand(16, 3, 32, 32)).features.flatten(2)
    silent = (features == 0).all(dim=2)
    assert 0.02 < silent.float().mean() < 0.25
    assert torch.equal((features == 0).any(dim=2), silent)


def test_weights_of_a_file_reach_the_encoder(tmp_path):
    torch.save(ResNet(ResNetConfig(18, base_width=8)).state_dict(), tmp_path / 'resnet.pth')
    network = tiny()
    kept = network.load_imagenet_weights(tmp_path / 'resnet.pth')
    assert kept == ('conv1', 'conv2', 'conv3', 'layer1.0.conv1', 'layer1.0.downsample.0')
    stored = torch.load(tmp_path / 'resnet.pth', weights_only=True)
    assert torch.equal(network.encoder.layer4[1].conv2.weight, stored['layer4.1.conv2.weight'])


@pytest.mark.parametrize(
    'sizes', [{'depth': 20}, {'in_channels': 0}, {'out_channels': 0}, {'base_width': 3}]
)
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ConfigError):
        PSPNetConfig(**sizes)


def test_presets_are_known_by_name():
    assert PSPNetConfig.preset('paper') == PSPNetConfig()
    assert PSPNetConfig.preset('tiny', depth=101).head_channels == 64
    with pytest.raises(ConfigError, match="'paper', 'tiny'"):
        PSPNetConfig.preset('large')


def test_wrong_images_are_named():
    network = tiny().train()
    for shape in ((2, 1, 48, 64), (3, 48, 64)):
        with pytest.raises(ShapeError, match=r'must be \[batch, 3, height, width\]'):
            network(torch.zeros(shape))
    with pytest.raises(ShapeError, match='at least 2 images, got 1'):
        network(torch.zeros(1, 3, 48, 64))
    assert network.eval()(torch.zeros(1, 3, 48, 64)).logits.shape == (1, 19, 7, 9)
