# SPDX-License-Identifier: Apache-2.0
"""InverseForm by several processes: they learn what one learns, whatever each of them sees."""

from __future__ import annotations

import pytest
import torch
from inverse_form_shares import shareable, trained
from run_processes import run_recipe


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns(tmp_path, world_cache, fabric):
    one = trained(shareable(tmp_path / 'one', world_cache), fabric)  # renders the frames, too
    folder = tmp_path / 'two'
    run_recipe('inverse_form_shares', folder, world_cache, timeout_s=800)
    two = torch.load(folder / 'states.pt')
    torch.testing.assert_close(two['inverse'], dict(one['inverse']), rtol=1e-4, atol=1e-6)
    assert list(two['student']) == list(one['student'])
    for key, value in one['student'].items():
        if value.is_floating_point():
            moved = (value - one['first'][key]).abs().max()
            difference = (value - two['student'][key]).abs().max()
            assert difference <= 2e-3 * moved + 1e-6, (key, difference, moved)
