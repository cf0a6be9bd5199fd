# SPDX-License-Identifier: Apache-2.0
"""Compiled code is kept for the next process, and never for other sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kd_perception.world import compiling

LOOP = """
from package.compiling import kernel
from package.point import value

@kernel
def fill(array):
    for i in range(len(array)):
        array[i] = value(i)
"""
POINT = """
from package.compiling import inlined

@inlined
def value(i):
    return FACTOR * i
"""
PROGRAM = """
import numpy as np
from package.loop import fill
array = np.zeros(3)
fill(array)
print(array[2], sum(fill.stats.cache_hits.values()))
"""


def run(folder: Path, factor: int, **environment: str) -> tuple[float, int]:
    """Value and cache hits of a process that uses a kernel of two modules."""
    package = folder / 'package'
    package.mkdir(exist_ok=True)
    shutil.copy(compiling.__file__, package)
    (package / 'loop.py').write_text(LOOP)
    point = package / 'point.py'
    point.write_text(POINT.replace('FACTOR', str(factor)))
    # Numba would not see the edit by the time of the file that holds the loop.
    os.utime(package / 'loop.py', (1e9, 1e9))
    # Nor would Python see an edit of one digit within a second: it keeps no bytecode here.
    output = subprocess.run(
        [sys.executable, '-B', '-c', PROGRAM],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return float(output[0]), int(output[1])


def test_second_process_finds_what_the_first_compiled(tmp_path):
    assert run(tmp_path, 3) == (6.0, 0)
    assert run(tmp_path, 3) == (6.0, 1)


def test_edit_of_another_module_is_not_missed(tmp_path):
    assert run(tmp_path, 3) == (6.0, 0)
    assert run(tmp_path, 4) == (8.0, 0)
    assert run(tmp_path, 3) == (6.0, 1), 'what was compiled of the first version is still there'


def test_folder_of_the_user_is_respected(tmp_path):
    chosen = tmp_path / 'chosen'
    run(tmp_path, 3, NUMBA_CACHE_DIR=str(chosen))
    assert list(chosen.glob('world-*/*/*.nbc'))
    assert not (tmp_path / 'package' / '__pycache__').exists() or not list(
        (tmp_path / 'package' / '__pycache__').glob('world-*')
    )


def test_folders_of_versions_that_nobody_uses_are_removed(tmp_path):
    run(tmp_path, 3)
    (ours,) = (tmp_path / 'package' / '__pycache__').glob('world-*')
    unused, used = (ours.with_name(f'world-{digit * 16}') for digit in 'ab')
    foreign = ours.with_name('world-of-others')
    for folder in (unused, used, foreign):
        shutil.copytree(ours, folder)
    for folder in (ours, unused, foreign):
        os.utime(folder, (1e9, 1e9))
    start = time.time()
    assert run(tmp_path, 3) == (6.0, 1), 'ours is used, however old it is'
    assert ours.stat().st_mtime > start - 2.0, 'the next weeks count from now on'
    assert not unused.exists()
    assert used.is_dir() and foreign.is_dir()


def test_old_folder_that_cannot_be_removed_is_left(tmp_path, monkeypatch):
    old = tmp_path / f'world-{"a" * 16}'
    old.mkdir()
    os.utime(old, (1e9, 1e9))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    for name in ('rmdir', 'utime'):
        monkeypatch.setattr(os, name, refuse)
    compiling._forget_others(tmp_path / f'world-{"b" * 16}')
    assert old.is_dir()
    compiling._forget_others(tmp_path / 'nowhere' / f'world-{"b" * 16}')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_read_only_installation_uses_the_users_cache(tmp_path):
    run(tmp_path, 3)
    shutil.rmtree(tmp_path / 'package' / '__pycache__')
    (tmp_path / 'package').chmod(0o555)
    try:
        hits = [run_only(tmp_path) for _ in range(2)]
    finally:
        (tmp_path / 'package').chmod(0o755)
    assert hits == [0, 1]


def run_only(folder: Path) -> int:
    output = subprocess.run(
        [sys.executable, '-B', '-c', PROGRAM],
        env={**os.environ, 'PYTHONPATH': str(folder), 'XDG_CACHE_HOME': str(folder / 'cache')},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return int(output[1])


def test_cache_is_the_users_where_the_package_cannot_be_written(monkeypatch, tmp_path):
    beside = compiling._cache_folder()
    assert beside.parent.name == '__pycache__'
    monkeypatch.setattr('os.access', lambda path, mode: False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert compiling._cache_folder() == tmp_path / 'kd_perception' / beside.name
    monkeypatch.setattr(compiling.config, 'CACHE_DIR', str(tmp_path / 'chosen'))
    assert compiling._cache_folder() == tmp_path / 'chosen' / beside.name
