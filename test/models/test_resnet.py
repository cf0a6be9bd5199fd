# SPDX-License-Identifier: Apache-2.0
"""The encoders against the sizes of torchvision's, and their weights from files."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from kd_perception.errors import ConfigError
from kd_perception.models.resnet import ResNet, ResNetConfig


def parameter_count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# What torchvision documents, less the classifier: 513 000 weights, or 2 049 000.
@pytest.mark.parametrize(
    ('depth', 'parameters', 'entries'),
    [
        (18, 11_689_512 - 513_000, 120),
        (34, 21_797_672 - 513_000, 216),
        (50, 25_557_032 - 2_049_000, 318),
        (101, 44_549_160 - 2_049_000, 624),
        (152, 60_192_808 - 2_049_000, 930),
    ],
)
def test_every_depth_has_the_size_of_torchvision(depth, parameters, entries):
    with torch.device('meta'):
        network = ResNet(ResNetConfig(depth))
    assert parameter_count(network) == parameters
    assert len(network.state_dict()) == entries


def test_names_are_those_of_torchvision():
    with torch.device('meta'):
        basic = ResNet(ResNetConfig(18)).state_dict()
        bottleneck = ResNet(ResNetConfig(50)).state_dict()
    assert {k: tuple(v.shape) for k, v in basic.items()}.items() >= {
        'conv1.weight': (64, 3, 7, 7),
        'bn1.running_mean': (64,),
        'bn1.num_batches_tracked': (),
        'layer1.0.conv1.weight': (64, 64, 3, 3),
        'layer2.0.downsample.0.weight': (128, 64, 1, 1),
        'layer2.0.downsample.1.bias': (128,),
        'layer4.1.bn2.weight': (512,),
    }.items()
    assert 'layer1.0.downsample.0.weight' not in basic
    assert {k: tuple(v.shape) for k, v in bottleneck.items()}.items() >= {
        'layer1.0.downsample.0.weight': (256, 64, 1, 1),
        'layer3.5.conv3.weight': (1024, 256, 1, 1),
        'layer4.0.conv2.weight': (512, 512, 3, 3),
    }.items()


@pytest.mark.parametrize('depth', [18, 34, 50])
def test_stages_have_the_promised_channels_and_sizes(depth):
    config = ResNetConfig(depth, in_channels=1, base_width=4)
    features = ResNet(config).eval()(torch.rand(2, 1, 64, 96))
    for stage, (feature, channels) in enumerate(zip(features, config.channels, strict=True), 1):
        assert feature.shape == (2, channels, 64 >> stage, 96 >> stage)


@pytest.mark.parametrize(
    'sizes', [{'depth': 20}, {'in_channels': 0}, {'base_width': 0}, {'layers': 0}, {'layers': 5}]
)
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ConfigError):
        ResNetConfig(**sizes)


def imagenet_like_weights(depth: int = 18, base_width: int = 8) -> dict[str, torch.Tensor]:
    """What a file of torchvision holds, with narrow layers."""
    torch.manual_seed(depth)
    network = ResNet(ResNetConfig(depth, base_width=base_width))
    for name, buffer in network.named_buffers():
        if 'running' in name:
            buffer.uniform_(0.5, 1.5)
    return {**network.state_dict(), 'fc.weight': torch.rand(10, 64), 'fc.bias': torch.rand(10)}


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('in_channels', [1, 3, 6])
def test_weights_load_and_the_stem_fits_gray_color_and_two_color_images(
    tmp_path, suffix, in_channels
):
    weights = imagenet_like_weights()
    path = tmp_path / f'resnet{suffix}'
    save_file(weights, path) if suffix == '.safetensors' else torch.save(weights, path)
    network = ResNet(ResNetConfig(18, in_channels, base_width=8, layers=3))
    network.load_imagenet_weights(path)
    loaded = network.state_dict()
    stem = loaded.pop('conv1.weight')
    expected = weights['conv1.weight']
    if in_channels == 1:
        r, g, b = expected.unbind(1)
        expected = ((r + g + b) / 3)[:, None]
    elif in_channels == 6:
        expected = torch.stack([*expected.unbind(1), *expected.unbind(1)], 1) / 2
    torch.testing.assert_close(stem, expected)
    assert not any(key.startswith('layer4') for key in loaded)
    for key, value in loaded.items():
        assert torch.equal(value, weights[key]), key


def test_gray_stem_sees_a_gray_image_as_a_third_of_the_color_stem(tmp_path):
    path = tmp_path / 'resnet.pth'
    torch.save(imagenet_like_weights(), path)
    color = ResNet(ResNetConfig(18, 3, base_width=8))
    gray = ResNet(ResNetConfig(18, 1, base_width=8))
    color.load_imagenet_weights(path)
    gray.load_imagenet_weights(path)
    image = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(
        gray.conv1(image), color.conv1(image.expand(-1, 3, -1, -1)) / 3, atol=1e-5, rtol=1e-5
    )


def test_files_without_batch_counters_load(tmp_path):
    weights = {k: v for k, v in imagenet_like_weights().items() if 'num_batches' not in k}
    torch.save(weights, tmp_path / 'old.pth')
    ResNet(ResNetConfig(18, base_width=8)).load_imagenet_weights(tmp_path / 'old.pth')


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (ResNetConfig(34, base_width=8), r'missing, as .*layer1\.2'),
        (ResNetConfig(18, base_width=16), 'another shape: bn1.bias is'),
        (ResNetConfig(18, in_channels=4, base_width=8), r'conv1.weight is \[8, 3, 7, 7\]'),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, config, message):
    torch.save(imagenet_like_weights(), tmp_path / 'resnet18.pth')
    with pytest.raises(ConfigError, match=message):
        ResNet(config).load_imagenet_weights(tmp_path / 'resnet18.pth')


def test_weights_of_a_deeper_network_are_not_cut_off_in_silence(tmp_path):
    torch.save(imagenet_like_weights(34), tmp_path / 'resnet34.pth')
    with pytest.raises(ConfigError, match=r'unknown, as .*layer1\.2'):
        ResNet(ResNetConfig(18, base_width=8)).load_imagenet_weights(tmp_path / 'resnet34.pth')


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path):
    network = ResNet(ResNetConfig(34, base_width=8))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    torch.save(imagenet_like_weights(), tmp_path / 'resnet18.pth')
    with pytest.raises(ConfigError):
        network.load_imagenet_weights(tmp_path / 'resnet18.pth')
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key
