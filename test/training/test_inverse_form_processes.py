# SPDX-License-Identifier: Apache-2.0
"""InverseForm by several processes: they learn what one learns, whatever each of them sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from inverse_form_shares import shareable, trained

from training.distributed import launch

HERE = Path(__file__).resolve().parent


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns(tmp_path, world_cache):
    config = shareable(tmp_path / 'one', world_cache)
    one = trained(config, launch(config.launch))  # renders the frames, too
    folder = tmp_path / 'two'
    folder.mkdir()
    command = [sys.executable, '-m', 'inverse_form_shares', '--folder', folder]
    values = ['--launch.devices', 2, '--launch.accelerator', 'cpu', '--launch.bfloat16', 'false']
    environment = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        'GLOO_SOCKET_IFNAME': 'lo',
        'OMP_NUM_THREADS': '1',
    }
    done = subprocess.run(
        [str(part) for part in (*command, '--cache', world_cache, *values)],
        cwd=HERE, env=environment, capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = torch.load(folder / 'states.pt')
    torch.testing.assert_close(two['inverse'], dict(one['inverse']), rtol=1e-4, atol=1e-6)
    assert list(two['student']) == list(one['student'])
    for key, value in one['student'].items():
        if value.is_floating_point():
            moved = (value - one['first'][key]).abs().max()
            difference = (value - two['student'][key]).abs().max()
            assert difference <= 2e-3 * moved + 1e-6, (key, difference, moved)
