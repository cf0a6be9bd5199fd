# SPDX-License-Identifier: Apache-2.0
"""Leaves these tests out where what they need is not installed; what several of them share."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from training.distributed import Fabric
    from training.recipes.supervised import SupervisedConfig

MISSING = [
    name
    for name in (
        'torch',
        'draccus',
        'lightning_fabric',
        'safetensors',
        'tensorboard',
        'tqdm',
        'PIL',
        'scipy',
    )
    if find_spec(name) is None
]
collect_ignore_glob = ['test_*.py'] if MISSING else []
if MISSING:
    warnings.warn(f'tests of training left out: not installed: {", ".join(MISSING)}', stacklevel=1)


@pytest.fixture(scope='session')
def world_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the frames of tiny runs, which are drawn once."""
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def fabric() -> Fabric:
    """One process on the CPU, as tiny runs ask for it."""
    from training.distributed import LaunchConfig, launch

    return launch(LaunchConfig(accelerator='cpu', bfloat16=False))


@pytest.fixture
def config(tmp_path: Path, world_cache: Path) -> SupervisedConfig:
    """The configuration of a tiny supervised run that writes into the folder of its test."""
    from supervised_runs import tiny_run

    return tiny_run(tmp_path, world_cache)


@pytest.fixture(scope='session')
def cekd_teacher(tmp_path_factory: pytest.TempPathFactory, world_cache: Path) -> Path:
    """The configuration file of a trained CEKD run, whose networks teach others."""
    from compress_runs import write_teacher

    return write_teacher(tmp_path_factory.mktemp('cekd_teacher'), world_cache)


@pytest.fixture(scope='session')
def depth_teacher(tmp_path_factory: pytest.TempPathFactory, world_cache: Path) -> Path:
    """The configuration file of branches of mutual distillation, trained for three steps."""
    from compress_depth_runs import write_teacher

    return write_teacher(tmp_path_factory.mktemp('depth_teacher'), world_cache)


@pytest.fixture(scope='session')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with two color cameras and a lidar, twelve frames of 64x96."""
    from kd_perception.cli import main as kd_perception

    out = tmp_path_factory.mktemp('bag') / 'drive'
    kd_perception(['world', 'stereo_bag', str(out), '--count', '12', '--size', '64x96'])
    return out
