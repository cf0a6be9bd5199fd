# SPDX-License-Identifier: Apache-2.0
"""Classifiers of EPS and CAM: a score is the mean of a raw map, the head has no bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import ClassMapConfig, ClassMapNet


def network(**changes):
    torch.manual_seed(0)
    return ClassMapNet(ClassMapConfig(**{'classes': 4, 'base_width': 2, **changes}))


@pytest.mark.parametrize('head', ['eps', 'cam'])
@pytest.mark.parametrize(('encoder', 'stride'), [('small', 4), ('resnet38', 8)])
def test_scores_are_means_of_raw_maps(encoder, stride, head):
    net = network(network=encoder, head=head).eval()
    found = net(torch.randn(2, 3, 64, 48))
    channels = 5 if head == 'eps' else 4
    assert found.maps.shape == (2, channels, 64 // stride, 48 // stride)
    assert net.config.stride == stride and net.config.maps == channels
    assert found.scores.shape == (2, 4) and (found.maps < 0).any(), 'no ReLU on the maps'
    expected = found.maps.detach().numpy()[:, :4].mean(axis=(2, 3))
    np.testing.assert_allclose(found.scores.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_pooling_first_gives_the_same_scores():
    """The baseline pools before its convolution: without bias that is the same."""
    net = network(head='cam').eval()
    image = torch.randn(1, 3, 32, 32)
    pooled = net.encoder(image).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(net(image).scores, net.head(pooled)[..., 0, 0])


def test_log_sum_exp_lies_between_mean_and_maximum():
    scores = {}
    for sharpness in (0.01, 5.0, 500.0):
        net = network(pooling='log_sum_exp', sharpness=sharpness).eval()
        found = net(torch.randn(2, 3, 32, 32, generator=torch.manual_seed(1)))
        scores[sharpness] = found.scores
    maps = found.maps[:, :4]
    torch.testing.assert_close(scores[0.01], maps.mean(dim=(2, 3)), atol=1e-2, rtol=0)
    torch.testing.assert_close(scores[500.0], maps.amax(dim=(2, 3)), atol=1e-2, rtol=0)
    expected = np.log(np.exp(5.0 * maps.detach().numpy()).mean(axis=(2, 3))) / 5.0
    np.testing.assert_allclose(scores[5.0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_of_training_alone():
    net, image = network(dropout=0.5), torch.randn(1, 3, 32, 32)
    assert not torch.equal(net(image).maps, net(image).maps)
    net.eval()
    assert torch.equal(net(image).maps, net(image).maps)


def test_every_part_learns():
    net = network(in_channels=1).train()
    found = net(torch.randn(3, 1, 32, 32))
    (found.scores.sum() + found.maps.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert net.head.bias is None and net.encoder.channels == 8


def test_default_widths():
    with torch.device('meta'):
        assert ClassMapNet(ClassMapConfig(classes=4)).head.weight.shape == (5, 64, 1, 1)
        large = ClassMapNet(ClassMapConfig(network='resnet38', head='cam'))
    assert large.head.weight.shape == (20, 4096, 1, 1)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'network': 'vgg'}, "network must be one of small, resnet38, got 'vgg'"),
        ({'head': 'fc'}, 'head must be one of'),
        ({'pooling': 'max'}, 'pooling must be one of'),
        ({'classes': 0}, 'classes and in_channels'),
        ({'dropout': 1.0}, 'dropout must be 0 to below 1'),
        ({'sharpness': 0.0}, 'sharpness above 0'),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ClassMapConfig(**changes)


def test_wrong_inputs_and_weights_are_refused(tmp_path):
    with pytest.raises(ShapeError, match=r'\[batch, 3, height, width\], got \[1, 1, 32, 32\]'):
        network()(torch.zeros(1, 1, 32, 32))
    with pytest.raises(ConfigError, match='must be of resnet38, the network is small'):
        network().load_imagenet_weights(tmp_path / 'any.params')


def test_weights_of_the_encoder_come_from_a_file(tmp_path):
    source = network(network='resnet38').encoder
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    torch.manual_seed(7)
    net = ClassMapNet(ClassMapConfig(network='resnet38', base_width=2))
    net.load_imagenet_weights(tmp_path / 'weights.pth')
    for key, value in source.state_dict().items():
        assert torch.equal(net.encoder.state_dict()[key], value), key
