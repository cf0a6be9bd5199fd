# SPDX-License-Identifier: Apache-2.0
"""A boundary head on any network: where it looks, what it leaves alone, what is exported."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import (
    CENet,
    CENetConfig,
    EKNet,
    EKNetConfig,
    HRNet,
    HRNetConfig,
    RepUNet,
    RepUNetConfig,
)
from training.baseline_networks import UNet, UNetConfig
from training.boundary_student import BoundaryHead, BoundaryStudent, feature_channels

SIZE = (64, 96)
TINY = {'image_size': SIZE, 'encoder_depth': 18, 'base_width': 4, 'attention_blocks': 1}
EKNET = EKNetConfig(**TINY, enhancement='softplus')
CENET = CENetConfig(**TINY, modality='rgb', edge_stage=None)


class PyramidOutput(NamedTuple):
    """As that of PSPNet: at an eighth of the image, with an auxiliary head in training."""

    logits: Tensor
    features: Tensor
    auxiliary_logits: Tensor | None


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Conv2d(1, 6, 8, 8), nn.Conv2d(6, 9, 1)

    def forward(self, image):
        features = self.encoder(image)
        logits = self.head(features)
        return PyramidOutput(logits, features, logits if self.training else None)


NETWORKS = {
    'rep_unet': (lambda: RepUNet(RepUNetConfig.preset('rep_unet_s')), 1, 32, 4),
    'eknet': (lambda: EKNet(EKNET), 1, EKNET.decoder_channels[2], 4),
    'cenet': (lambda: CENet(CENET), 3, CENET.decoder_channels[2], 4),
    'hrnet': (lambda: HRNet(HRNetConfig.preset('tiny', in_channels=3)), 3, 120, 4),
    'pyramid': (Pyramid, 1, 6, 8),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_the_head_looks_at_features_and_leaves_the_network_alone(name):
    build, in_channels, channels, stride = NETWORKS[name]
    torch.manual_seed(0)
    network = build()
    image = torch.rand(2, in_channels, *SIZE)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    assert feature_channels(network, image[:1]) == channels
    assert network.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key
    student = BoundaryStudent(network, channels).eval()
    output = student(image)
    own = network(image)
    logits = own if isinstance(own, Tensor) else own.logits
    assert torch.equal(output.logits, logits)
    assert output.edge_logits.shape == (2, 1, SIZE[0] // stride, SIZE[1] // stride)


@pytest.mark.parametrize('name', NETWORKS)
def test_boundaries_teach_the_features(name):
    build, in_channels, channels, _ = NETWORKS[name]
    student = BoundaryStudent(build(), channels)
    student(torch.rand(2, in_channels, *SIZE)).edge_logits.square().mean().backward()
    first = next(student.student.parameters())
    assert first.grad is not None and (first.grad != 0.0).any()
    assert all(parameter.grad is not None for parameter in student.head.parameters())


def test_the_head_is_two_convolutions():
    head = BoundaryHead(4).eval()
    features = torch.randn(1, 4, 3, 5)
    first, norm, last = head.layers[0], head.layers[1], head.layers[3]
    y = torch.einsum('oi,bihw->bohw', first.weight[:, :, 0, 0], features)
    y = (y / (1.0 + norm.eps) ** 0.5).clamp(min=0.0)
    expected = torch.einsum('oi,bihw->bohw', last.weight[:, :, 0, 0], y) + last.bias
    torch.testing.assert_close(head(features), expected)


def test_a_network_without_features_is_refused():
    with pytest.raises(ConfigError, match='must give logits and features, got BaselineOutput'):
        feature_channels(UNet(UNetConfig.preset('tiny')), torch.zeros(1, 1, 32, 32))

    class Flat(nn.Module):
        def forward(self, image):
            return PyramidOutput(image, image.flatten(1), None)

    with pytest.raises(ShapeError, match='features must be'):
        feature_channels(Flat(), torch.zeros(1, 1, 32, 32))
