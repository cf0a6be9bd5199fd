# SPDX-License-Identifier: Apache-2.0
"""DeepLab-V2: stride, dilations, scales that are put together by their largest scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import DeepLab, DeepLabConfig
from kd_perception.models.resnet import ResNet, ResNetConfig


def network(**changes):
    torch.manual_seed(0)
    values = {'depth': 18, 'base_width': 4, 'out_channels': 5}
    return DeepLab(DeepLabConfig(**{**values, **changes})).eval()


def test_scores_are_those_of_an_eighth():
    found = network()(torch.rand(2, 3, 64, 96))
    assert found.logits.shape == (2, 5, 8, 12)
    assert [tuple(part.shape[2:]) for part in found.pyramid] == [(8, 12), (4, 6), (6, 9)]


def test_scales_are_put_together_by_their_largest_scores():
    net, image = network(), torch.rand(1, 3, 64, 64)
    plain = network(scales=())
    parts = [plain(image).logits]
    for size in (32, 48):
        smaller = functional.interpolate(image, (size, size), mode='bilinear')
        parts.append(functional.interpolate(plain(smaller).logits, (8, 8), mode='bilinear'))
    expected = np.max([part.detach().numpy() for part in parts], axis=0)
    np.testing.assert_allclose(net(image).logits.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert len(plain(image).pyramid) == 1


def test_classifiers_are_summed():
    net = network(rates=(6, 12), scales=())
    single = [network(rates=(6,), scales=()), network(rates=(12,), scales=())]
    for k, one in enumerate(single):
        one.encoder.load_state_dict(net.encoder.state_dict())
        one.classifiers[0].load_state_dict(net.classifiers[k].state_dict())
    image = torch.rand(1, 3, 48, 48)
    torch.testing.assert_close(net(image).logits, sum(one(image).logits for one in single))


def test_the_last_two_layers_are_dilated_and_keep_their_names():
    with torch.device('meta'):
        net = DeepLab(DeepLabConfig())
        names = ResNet(ResNetConfig(101)).state_dict().keys()
    assert net.encoder.state_dict().keys() == names
    for name, dilation in (('layer2', 1), ('layer3', 2), ('layer4', 4)):
        convs = [m for m in net.encoder.get_submodule(name).modules() if isinstance(m, nn.Conv2d)]
        wide = [conv for conv in convs if conv.kernel_size == (3, 3)]
        assert {conv.dilation for conv in wide} == {(dilation, dilation)}
        assert {conv.padding for conv in wide} == {(dilation, dilation)}
        assert any(conv.stride == (2, 2) for conv in convs) == (name == 'layer2')
    assert [conv.dilation[0] for conv in net.classifiers] == [6, 12, 18, 24]
    assert net.classifiers[0].weight.shape == (21, 2048, 3, 3)


def test_frozen_normalization_keeps_what_it_has():
    net = network(scales=()).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net(torch.rand(2, 3, 32, 32)).logits.sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    still = {n for n, p in net.named_parameters() if p.grad is None}
    assert still and all('bn' in name or 'downsample.1' in name for name in still)
    free = network(frozen=False).train()
    assert free.encoder.bn1.training and all(p.requires_grad for p in free.parameters())


def test_weights_of_the_encoder_come_from_a_file(tmp_path):
    source = ResNet(ResNetConfig(18, base_width=4))
    torch.save(source.state_dict(), tmp_path / 'resnet18.pth')
    net = network()
    net.load_imagenet_weights(tmp_path / 'resnet18.pth')
    assert torch.equal(net.encoder.conv1.weight, source.conv1.weight)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'rates': ()}, 'rates must be at least one'),
        ({'out_channels': 0}, 'out_channels >= 1'),
        ({'scales': (0.5, 0.0)}, 'scales must be above 0'),
        ({'depth': 17}, 'depth must be one of'),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        DeepLabConfig(**changes)
