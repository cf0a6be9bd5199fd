# SPDX-License-Identifier: Apache-2.0
"""Renderers that fill a folder of the cache, in one process or several."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.errors import DatasetError
from kd_perception.world.render import render_frame
from training.data.world_fields import encode, views_of

if TYPE_CHECKING:
    from training.data.world import WorldSplit

Array = npt.NDArray[Any]
Chunk = tuple[int, int]

DESCRIPTION = 'description.json'
_LOCK = 'lock'


def chunk_path(folder: Path, name: str, chunk: Chunk) -> Path:
    """The file of a field of a chunk."""
    return folder / f'{name}_{chunk[0]:06d}_{chunk[1]:06d}.npy'


def render_missing(folder: Path, split: WorldSplit, processes: int) -> None:
    """Render the chunks that the folder lacks a field of, with a progress bar.

    Chunks that another run is rendering right now are left to it and waited for at the end.

    Args:
        folder: of the split; made if absent.
        split: what to render.
        processes: renderers at a time, >= 1.

    Raises:
        DatasetError: a renderer found other code of the world than this process has loaded.
    """
    missing = [c for c in split.chunks() if _missing_fields(folder, split, c)]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(split.description(), indent=2) + '\n'
    _write(folder / DESCRIPTION, lambda file: file.write(text.encode()))
    done = split.count - sum(last - first for first, last in missing)
    bar = tqdm(
        total=split.count, initial=done, desc=f'world {split.preset} {split.split}', unit='frame'
    )
    with bar, _mapping(processes) as run:
        for wait in (False, True):
            render = partial(_render_chunk, folder, split, folder.name, wait)
            busy = []
            for chunk, rendered in run(render, missing):
                bar.update(chunk[1] - chunk[0] if rendered else 0)
                busy += [] if rendered else [chunk]
            missing = busy


Mapping = Callable[[Callable[[Chunk], Any], Iterable[Chunk]], Iterable[Any]]


@contextmanager
def _mapping(processes: int) -> Iterator[Mapping]:
    if processes == 1:
        yield map
        return
    # Unlike multiprocessing.Pool, an executor ends when a renderer dies, and says so.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context('spawn'))
    try:
        yield executor.map
    finally:
        executor.shutdown(cancel_futures=True)


def _missing_fields(folder: Path, split: WorldSplit, chunk: Chunk) -> list[str]:
    return [name for name in split.fields if not chunk_path(folder, name, chunk).exists()]


def _render_chunk(
    folder: Path, split: WorldSplit, key: str, wait: bool, chunk: Chunk
) -> tuple[Chunk, bool]:
    """Render what is missing of a chunk; False if another process is at it and wait is not set."""
    cv2.setNumThreads(1)
    if split.key() != key:
        raise DatasetError(
            f'all renderers must run the same code of the world, got {split.key()} beside {key}: '
            'it was changed meanwhile; start again'
        )
    with _locked(folder / _LOCK, chunk[0], wait=wait) as mine:
        if mine and (names := _missing_fields(folder, split, chunk)):
            _render(folder, split, chunk, names)
        return chunk, mine


def _render(folder: Path, split: WorldSplit, chunk: Chunk, names: list[str]) -> None:
    config, seed, views = split.config(), split.world_seed(), views_of(names)
    columns: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(*chunk):
        frame = render_frame(config, seed, index, views)
        for name, column in columns.items():
            column.append(encode(name, getattr(frame, name)))
    for name, column in columns.items():
        _write(chunk_path(folder, name, chunk), partial(np.save, arr=np.stack(column)))


@contextmanager
def _locked(path: Path, place: int, *, wait: bool) -> Iterator[bool]:
    """Hold one byte of a lock file, so that a lock ends when its process does, however it ends."""
    with open(path, 'ab') as file:
        try:
            lockf(file, LOCK_EX if wait else LOCK_EX | LOCK_NB, 1, place)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            lockf(file, LOCK_UN, 1, place)


def _write(path: Path, write: Callable[[Any], Any]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
