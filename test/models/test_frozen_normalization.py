# SPDX-License-Identifier: Apache-2.0
"""Frozen batch normalization keeps what it has, in every mode, while the rest learns."""

from __future__ import annotations

import copy

import torch
from torch import nn

from kd_perception.models.frozen_normalization import FreezableNormalization


class Network(FreezableNormalization):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))

    def forward(self, image):
        return self.stem(image)


def learnt(network):
    """Names of what changes in a step of training."""
    before = copy.deepcopy(network.state_dict())
    network(1.0 + torch.rand(2, 1, 5, 5)).square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad.sign()
    return {name for name, value in network.state_dict().items() if (value != before[name]).any()}


def test_normalization_learns_until_it_is_frozen():
    network = Network().train()
    assert network.stem[1].training
    assert {'stem.1.weight', 'stem.1.running_mean', 'stem.1.num_batches_tracked'} < learnt(network)
    network.freeze_normalization()
    network.zero_grad()
    assert learnt(network) == {'stem.0.weight', 'stem.0.bias'}


def test_only_normalization_stays_in_the_mode_of_evaluation():
    network = Network().eval()
    network.freeze_normalization()
    assert not network.training
    assert network.train() is network
    for each in (network, copy.deepcopy(network)):
        each.train()
        assert [module.training for module in each.stem] == [True, False, True]
        assert not any(module.training for module in each.eval().modules())
