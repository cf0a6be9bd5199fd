# SPDX-License-Identifier: Apache-2.0
"""Learning rates against their closed forms, and optimizers against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kd_perception.errors import ConfigError
from training.optimization import (
    SCHEDULES,
    OptimizerConfig,
    create_optimizer,
    learning_rate,
    set_learning_rate,
)
from training.recipes import supervised


def rates(steps, **settings):
    config = OptimizerConfig(learning_rate=2.0, **settings)
    return [learning_rate(config, step, steps) for step in range(steps)]


@given(steps=st.integers(1, 5000), data=st.data())
def test_one_cycle_is_that_of_the_supervised_recipe(steps, data):
    step = data.draw(st.integers(0, steps - 1))
    config = OptimizerConfig(learning_rate=2.5e-3)
    expected = supervised.learning_rate(supervised.SupervisedConfig(steps=steps), step)
    assert learning_rate(config, step, steps) == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_over_its_share():
    found = rates(100, rise_share=0.3)
    assert found[:30] == pytest.approx([2.0 * (step + 1) / 30 for step in range(30)])
    assert found[65] == pytest.approx(1.0)
    assert found[99] == pytest.approx(1.0 + math.cos(math.pi * 69 / 70))
    assert rates(10, rise_share=0.0)[0] == 2.0


def test_exponential_decays_once_per_epoch():
    found = rates(21, schedule='exponential', decay=0.95, decay_steps=7)
    assert found == pytest.approx([2.0] * 7 + [1.9] * 7 + [1.805] * 7)


def test_polynomial_is_that_of_deeplab():
    found = rates(10, schedule='polynomial', power=0.9)
    assert found == pytest.approx([2.0 * (1.0 - step / 10) ** 0.9 for step in range(10)])
    assert rates(4, schedule='polynomial', power=1.0) == pytest.approx([2.0, 1.5, 1.0, 0.5])


def test_constant_stays():
    assert rates(5, schedule='constant') == [2.0] * 5


@pytest.mark.parametrize('schedule', SCHEDULES)
@given(steps=st.integers(1, 300))
def test_rates_are_positive_and_never_above_the_given_one(schedule, steps):
    assert all(0.0 < rate <= 2.0 for rate in rates(steps, schedule=schedule, decay_steps=3))


def test_optimizers_are_torchs():
    layer = nn.Linear(2, 2)
    adamw = create_optimizer(layer.parameters(), OptimizerConfig(weight_decay=0.3))
    sgd = create_optimizer(layer.parameters(), OptimizerConfig(kind='sgd', momentum=0.7))
    assert type(adamw) is torch.optim.AdamW
    assert adamw.param_groups[0]['weight_decay'] == 0.3
    assert type(sgd) is torch.optim.SGD
    assert sgd.param_groups[0]['momentum'] == 0.7


def test_groups_may_learn_faster_and_keep_that_through_a_checkpoint():
    head, rest = nn.Linear(2, 2), nn.Linear(2, 2)

    def grouped():
        groups = [
            {'params': list(rest.parameters())},
            {'params': list(head.parameters()), 'rate_scale': 10.0},
        ]
        return create_optimizer(groups, OptimizerConfig(kind='sgd'))

    optimizer = grouped()
    optimizer.load_state_dict(grouped().state_dict())
    set_learning_rate(optimizer, 0.01)
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('kind', 'adam'),
        ('schedule', 'cosine'),
        ('learning_rate', 0.0),
        ('learning_rate', math.inf),
        ('weight_decay', -1.0),
        ('momentum', 1.0),
        ('rise_share', -0.1),
        ('decay', 0.0),
        ('decay_steps', 0),
        ('power', 0.0),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        OptimizerConfig(**{name: value})
