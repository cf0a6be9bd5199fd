# SPDX-License-Identifier: Apache-2.0
"""Runs that start from the weights of others; the recipes' own tests train such pairs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_perception.errors import ConfigError
from training.checkpointing import LATEST
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


class Tiny(nn.Module):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Linear(3, width)
        self.head = nn.Linear(width, outputs)


def test_all_but_a_head_of_other_outputs_is_taken_over(tmp_path):
    torch.manual_seed(0)
    old = Tiny(4, 9)
    torch.save({'average': old.state_dict()}, tmp_path / LATEST)
    new = Tiny(4, 2)
    before = new.head.weight.clone()
    take_over(new, str(tmp_path))
    assert torch.equal(new.body.weight, old.body.weight)
    assert torch.equal(new.head.weight, before)
    same = Tiny(4, 9)
    take_over(same, str(tmp_path))
    assert torch.equal(same.head.weight, old.head.weight)
    with pytest.raises(ConfigError, match=r'differs in body\.bias, body\.weight'):
        take_over(Tiny(5, 9), str(tmp_path))


def test_the_card_names_the_folder_or_says_nothing():
    assert card_row('') == ''
    assert card_row('runs/a') == '| Started from | averaged weights of the run in `runs/a` |\n'
