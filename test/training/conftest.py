# SPDX-License-Identifier: Apache-2.0
"""Leaves these tests out where what they need is not installed; a tiny supervised run."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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


@pytest.fixture
def config(tmp_path: Path, world_cache: Path) -> SupervisedConfig:
    """The configuration of a tiny supervised run that writes into the folder of its test."""
    from supervised_runs import tiny_run

    return tiny_run(tmp_path, world_cache)
