# SPDX-License-Identifier: Apache-2.0
"""The encoder at an eighth of the image: its convolutions, and weights that fit in part."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_perception.errors import ConfigError
from kd_perception.models.dilated_resnet import DilatedResNet
from kd_perception.models.resnet import ResNet, ResNetConfig

STEM = ('conv1', 'conv2', 'conv3')
UNLIKE = (*STEM, 'layer1.0.conv1', 'layer1.0.downsample.0')


def tiny(depth=18, in_channels=3, **changes) -> DilatedResNet:
    torch.manual_seed(0)
    return DilatedResNet(ResNetConfig(depth, in_channels, base_width=8), **changes)


def saved(network: nn.Module, path) -> dict[str, torch.Tensor]:
    for name, buffer in network.named_buffers():
        if 'running' in name:
            buffer.uniform_(0.5, 1.5)
    weights = {**network.state_dict(), 'fc.weight': torch.rand(10, 64), 'fc.bias': torch.rand(10)}
    torch.save(weights, path)
    return weights


@pytest.mark.parametrize('depth', [18, 101])
def test_strides_and_dilations(depth):
    with torch.device('meta'):
        network = DilatedResNet(ResNetConfig(depth))
    convs = {k: m for k, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert {k for k, m in convs.items() if m.stride == (2, 2)} == {
        'conv1',
        'layer2.0.downsample.0',
        'layer2.0.conv1' if depth == 18 else 'layer2.0.conv2',
    }
    dilations = {'layer3': 2, 'layer4': 4}
    for name, conv in convs.items():
        if conv.kernel_size == (3, 3):
            dilation = dilations.get(name.split('.')[0], 1)
            assert conv.dilation == conv.padding == (dilation, dilation), name
        assert conv.bias is None
    assert [convs[k].weight.shape for k in STEM] == [
        (64, 3, 3, 3),
        (64, 64, 3, 3),
        (128, 64, 3, 3),
    ]
    assert convs['layer1.0.downsample.0'].in_channels == 128


def test_dilated_blocks_are_strided_blocks_on_every_second_place():
    """Without a stride, layer 3 computes at even places what dilation 1 does on these alone."""
    network = tiny().eval()
    block = network.layer3[1]
    x = torch.rand(1, 32, 12, 12)
    dense = block(x)
    for conv in (block.conv1, block.conv2):
        conv.dilation = conv.padding = (1, 1)
    torch.testing.assert_close(dense[:, :, ::2, 1::2], block(x[:, :, ::2, 1::2]))


@pytest.mark.parametrize(
    ('ceil', 'side', 'places'),
    [
        (True, 64, 9),
        (True, 65, 9),
        (False, 64, 8),
        (True, 96, 13),
        (False, 96, 12),
        (True, 71, 10),
    ],
)
def test_places_of_a_side(ceil, side, places):
    third, fourth = tiny(ceil_pooling=ceil).eval()(torch.rand(1, 3, side, 64))
    width = 9 if ceil else 8
    assert third.shape == (1, 32, places, width)
    assert fourth.shape == (1, 64, places, width)


@pytest.mark.parametrize('depth', [18, 50])
def test_a_file_of_torchvision_fits_but_for_the_stem_and_what_follows(tmp_path, depth):
    weights = saved(ResNet(ResNetConfig(depth, base_width=8)), tmp_path / 'resnet.pth')
    network = tiny(depth)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert network.load_imagenet_weights(tmp_path / 'resnet.pth') == UNLIKE
    norms = ('bn1', 'bn2', 'bn3', 'layer1.0.bn1', 'layer1.0.downsample.1')
    kept = tuple(f'{name}.' for name in (*UNLIKE, *norms))
    for key, value in network.state_dict().items():
        expected = before if key.startswith(kept) else weights
        assert torch.equal(value, expected[key]), key
    assert sum(key.startswith(kept) for key in before) == 5 * 6


@pytest.mark.parametrize('in_channels', [1, 3])
def test_a_file_for_this_stem_fits_as_a_whole(tmp_path, in_channels):
    other = tiny()
    nn.init.normal_(other.conv1.weight)
    weights = saved(other, tmp_path / 'resnet.pth')
    network = tiny(in_channels=in_channels)
    assert network.load_imagenet_weights(tmp_path / 'resnet.pth') == ()
    for key, value in network.state_dict().items():
        want = weights[key]
        if key == 'conv1.weight' and in_channels == 1:
            want = (want[:, 0] + want[:, 1] + want[:, 2])[:, None] / 3
        torch.testing.assert_close(value, want)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (ResNetConfig(34, base_width=8), r'missing, as .*layer1\.2'),
        (ResNetConfig(18, base_width=16), 'another shape: layer1'),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, config, message):
    saved(ResNet(ResNetConfig(18, base_width=8)), tmp_path / 'resnet.pth')
    network = DilatedResNet(config)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(ConfigError, match=message):
        network.load_imagenet_weights(tmp_path / 'resnet.pth')
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_fewer_layers_are_refused():
    with pytest.raises(ConfigError, match='layers must be 4 with dilation, got 3'):
        DilatedResNet(ResNetConfig(18, layers=3))
