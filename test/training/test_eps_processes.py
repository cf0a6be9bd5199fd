# SPDX-License-Identifier: Apache-2.0
"""EPS by several processes: they learn what one learns."""

from __future__ import annotations

import pytest
import torch
from eps_runs import shareable, tiny_run
from run_processes import run_recipe

from kd_perception.models import ClassMapOutput
from training.recipes.eps_networks import new_classifier


@pytest.mark.ddp
def test_two_processes_learn_what_one_learns(tmp_path):
    cache = tmp_path / 'world'
    states = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        run_recipe('eps_runs', folder, cache, devices=devices)
        states.append(torch.load(folder / 'state.pt', weights_only=True))
    one, two = states
    assert one['masks'] == two['masks']
    for key, value in one['network'].items():
        torch.testing.assert_close(two['network'][key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert two['miou'] == pytest.approx(one['miou'], abs=0.02)


def test_shareable_runs_are_masks_alone(tmp_path):
    config = tiny_run(tmp_path, tmp_path)
    assert shareable(config).stage == 'masks'
    assert isinstance(new_classifier(config)(torch.zeros(1, 3, 32, 32)), ClassMapOutput)
