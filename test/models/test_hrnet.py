# SPDX-License-Identifier: Apache-2.0
"""HRNet: published sizes, names of the authors' weights, the exchange between branches."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.branch_exchange import Exchange
from kd_perception.models.hrnet import HRNet, HRNetConfig

TINY = HRNetConfig.preset('tiny', in_channels=1, out_channels=9)


def count(network, *, head=True):
    named = network.named_parameters()
    return sum(p.numel() for k, p in named if head or not k.startswith('last_layer'))


def on_meta(config):
    with torch.device('meta'):
        return HRNet(config)


def basic_block(c):
    return 2 * 9 * c * c + 4 * c


def exchange(widths, blocks):
    """Weights of an exchange, counted by hand."""
    total = sum(blocks * basic_block(c) for c in widths)
    for i, target in enumerate(widths):
        for j, source in enumerate(widths):
            if j > i:
                total += source * target + 2 * target
            elif j < i:
                total += (i - j - 1) * (9 * source * source + 2 * source)
                total += 9 * source * target + 2 * target
    return total


def encoder(width, stem, modules, blocks):
    def unit(a, b):
        return 9 * a * b + 2 * b

    def bottleneck(a):
        return a * stem + 2 * stem + unit(stem, stem) + 4 * stem * stem + 8 * stem

    total = unit(3, stem) + unit(stem, stem)
    total += bottleneck(stem) + 4 * stem * stem + 8 * stem + 3 * bottleneck(4 * stem)
    total += unit(4 * stem, width) + unit(4 * stem, 2 * width)
    total += unit(2 * width, 4 * width) + unit(4 * width, 8 * width)
    for k, number in enumerate(modules):
        total += number * exchange([width * 2**i for i in range(k + 2)], blocks)
    return total


@pytest.mark.parametrize('name', ['w18', 'w48', 'tiny'])
def test_sizes_are_those_counted_by_hand(name):
    config = HRNetConfig.preset(name)
    network = on_meta(config)
    expected = encoder(config.width, config.stem_width, config.modules, config.blocks)
    assert count(network, head=False) == expected
    c = config.feature_channels
    assert count(network) == expected + c * c + c + 2 * c + 19 * c + 19
    published = {'w18': 9.64, 'w48': 65.86, 'tiny': 0.39}[name]
    assert count(network) / 1e6 == pytest.approx(published, abs=0.005)


def test_names_are_those_of_the_authors_weights():
    shapes = {k: tuple(v.shape) for k, v in on_meta(HRNetConfig()).state_dict().items()}
    assert (
        shapes.items()
        >= {
            'conv1.weight': (64, 3, 3, 3),
            'bn2.running_var': (64,),
            'layer1.0.downsample.0.weight': (256, 64, 1, 1),
            'layer1.3.conv3.weight': (256, 64, 1, 1),
            'transition1.0.0.weight': (18, 256, 3, 3),
            'transition1.1.0.0.weight': (36, 256, 3, 3),
            'transition2.2.0.1.weight': (72,),
            'stage2.0.branches.1.3.conv2.weight': (36, 36, 3, 3),
            'stage3.3.fuse_layers.0.2.0.weight': (18, 72, 1, 1),
            'stage4.2.fuse_layers.3.0.2.0.weight': (144, 18, 3, 3),
            'stage4.2.fuse_layers.3.0.1.0.weight': (18, 18, 3, 3),
        }.items()
    )
    assert not {'transition2.0.0.weight', 'stage2.0.fuse_layers.0.0.0.weight'} & shapes.keys()


@pytest.mark.parametrize('size', [(64, 96), (32, 32)])
def test_everything_is_at_a_quarter_of_the_image(size):
    network = HRNet(TINY).eval()
    output = network(torch.rand(2, 1, *size))
    quarter = (size[0] // 4, size[1] // 4)
    assert output.logits.shape == (2, 9, *quarter)
    assert output.features.shape == (2, TINY.feature_channels, *quarter) == (2, 120, *quarter)
    assert torch.equal(network.last_layer(output.features), output.logits)


def test_images_may_be_stored_pixel_by_pixel():
    network = HRNet(HRNetConfig.preset('tiny')).eval()
    image = torch.rand(2, 3, 64, 96)
    stored = image.to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(network(stored).logits, network(image).logits)


def test_an_exchange_sums_all_branches_at_each_size():
    torch.manual_seed(0)
    unit = Exchange((4, 8), 1).eval()
    maps = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4)]
    fine, coarse = unit(list(maps))
    one, two = (branch(y) for branch, y in zip(unit.branches, maps, strict=True))
    up = functional.interpolate(unit.fuse_layers[0][1](two), (8, 8), mode='bilinear')
    torch.testing.assert_close(fine, (one + up).clamp(min=0.0))
    torch.testing.assert_close(coarse, (two + unit.fuse_layers[1][0](one)).clamp(min=0.0))


def test_every_weight_receives_a_gradient():
    network = HRNet(TINY).train()
    network(torch.rand(2, 1, 64, 64)).logits.square().mean().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


def test_imagenet_weights_start_all_but_the_head(tmp_path):
    torch.manual_seed(0)
    source = HRNet(HRNetConfig.preset('tiny', in_channels=3))
    weights = {k: v for k, v in source.state_dict().items() if not k.startswith('last_layer')}
    others = {
        'classifier.weight': torch.zeros(1000, 8),
        'incre_modules.0.0.bn1.bias': torch.ones(2),
    }
    save_file({**weights, **others}, tmp_path / 'hrnet.safetensors')
    network = HRNet(TINY)
    head = network.last_layer[0].weight.clone()
    network.load_imagenet_weights(tmp_path / 'hrnet.safetensors')
    assert torch.equal(network.last_layer[0].weight, head)
    torch.testing.assert_close(network.conv1.weight, source.conv1.weight.mean(1, keepdim=True))
    assert torch.equal(network.conv2.weight, source.conv2.weight)
    with pytest.raises(ConfigError, match='must fit the encoder'):
        HRNet(HRNetConfig.preset('tiny', width=4)).load_imagenet_weights(
            tmp_path / 'hrnet.safetensors'
        )


def test_bad_sizes_are_refused():
    for changes in ({'width': 0}, {'modules': (1, 1)}, {'modules': (1, 0, 1)}, {'blocks': 0}):
        with pytest.raises(ConfigError, match='must be'):
            HRNetConfig(**changes)
    with pytest.raises(ConfigError, match='network must be one of'):
        HRNetConfig.preset('w19')
    with pytest.raises(ShapeError, match='multiples of 32'):
        HRNet(TINY)(torch.zeros(1, 1, 48, 64))
    with pytest.raises(ShapeError, match=r'\[batch, 1, height, width\]'):
        HRNet(TINY)(torch.zeros(1, 3, 64, 64))
