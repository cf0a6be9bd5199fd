# SPDX-License-Identifier: Apache-2.0
"""Optimizers that step together: the same weights as apart, also after loading a state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.joined_optimizer import JoinedOptimizer
from training.optimization import RATE_SCALE, set_learning_rate


def layers():
    torch.manual_seed(0)
    return nn.Linear(3, 2), nn.Linear(2, 1)


def parts_of(first, second):
    sgd = torch.optim.SGD(first.parameters(), lr=0.1, momentum=0.9)
    group = {'params': list(second.parameters()), RATE_SCALE: 0.5}
    return sgd, torch.optim.Adam([group], lr=0.1, betas=(0.5, 0.9))


def step(first, second, optimizers, rate):
    for optimizer in optimizers:
        set_learning_rate(optimizer, rate)
        optimizer.zero_grad()
    second(first(torch.ones(4, 3))).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()


def weights(*modules):
    return [p.detach().clone() for module in modules for p in module.parameters()]


def test_it_steps_as_its_parts_do():
    apart, together = layers(), layers()
    separate, joined = parts_of(*apart), JoinedOptimizer(parts_of(*together))
    for rate in (0.1, 0.05, 0.2):
        step(*apart, separate, rate)
        step(*together, (joined,), rate)
    assert [group['lr'] for group in joined.param_groups] == [0.2, 0.1]
    for found, expected in zip(weights(*together), weights(*apart), strict=True):
        assert torch.equal(found, expected)


def test_it_goes_on_from_its_state():
    first = layers()
    whole = JoinedOptimizer(parts_of(*first))
    for _ in range(2):
        step(*first, (whole,), 0.1)
    second = copy.deepcopy(first)
    resumed = JoinedOptimizer(parts_of(*second))
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for modules, optimizer in ((first, whole), (second, resumed)):
        step(*modules, (optimizer,), 0.03)
    assert [group['lr'] for group in resumed.parts[1].param_groups] == [0.015]
    for found, expected in zip(weights(*second), weights(*first), strict=True):
        assert torch.equal(found, expected)


def test_states_of_another_number_of_parts_are_refused():
    one = JoinedOptimizer(parts_of(*layers())[:1])
    with pytest.raises(ValueError, match='longer'):
        one.load_state_dict(JoinedOptimizer(parts_of(*layers())).state_dict())
