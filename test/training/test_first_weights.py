# SPDX-License-Identifier: Apache-2.0
"""Runs that start from the weights of others; the recipes' own tests train such pairs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_perception.errors import ConfigError
from training.first_weights import card_row, folder_of_seed, take_over


def test_each_seed_has_its_own_folder():
    assert folder_of_seed('runs/half/seed{seed}', 2) == 'runs/half/seed2'
    assert folder_of_seed('runs/half', 2) == 'runs/half'
    assert folder_of_seed('', 2) == ''


def test_without_a_folder_the_weights_stay(tmp_path):
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    take_over(network, '')
    assert torch.equal(network.weight, before)
    with pytest.raises(ConfigError, match='train it first'):
        take_over(network, str(tmp_path))


def test_the_card_names_the_folder_or_says_nothing():
    assert card_row('') == ''
    assert card_row('runs/a') == '| Started from | averaged weights of the run in `runs/a` |\n'
