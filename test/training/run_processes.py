# SPDX-License-Identifier: Apache-2.0
"""Programs of these tests: one or several processes that run together, and their arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from training.distributed import LaunchConfig

HERE = Path(__file__).resolve().parent
OF_TORCHRUN = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_PORT')


@dataclass(frozen=True)
class Process:
    """Arguments of a program that runs a recipe."""

    folder: Path
    cache: Path
    launch: LaunchConfig = field(default_factory=LaunchConfig)


def run_program(*command, folder, timeout_s=300):
    """Run Python on CPUs with arguments and `--folder`, which is made; it has to end well.

    Processes find the modules of this folder, and talk over the loopback device only.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in OF_TORCHRUN}
    environment = inherited | {
        'PYTHONPATH': os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        'MASTER_ADDR': '127.0.0.1',
        'GLOO_SOCKET_IFNAME': 'lo',
        'OMP_NUM_THREADS': '1',
    }
    arguments = ['--folder', folder, '--launch.accelerator', 'cpu', '--launch.bfloat16', 'false']
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, *map(str, [*command, *arguments])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr


def run_recipe(program, folder, cache, *, devices=2, timeout_s=300):
    """Run a module of this folder in as many processes; what it writes lies in the folder."""
    command = ['-m', program, '--cache', cache, '--launch.devices', devices]
    run_program(*command, folder=folder, timeout_s=timeout_s)
