# SPDX-License-Identifier: Apache-2.0
"""Renderers that fill a folder of the cache, in one process or several."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.errors import DatasetError
from kd_perception.files import unfinished_files, write_atomically
from kd_perception.world_export.render_pool import in_order
from training.data.field_storage import encode
from training.data.locks import locked
from training.data.world_fields import views_of

if TYPE_CHECKING:
    from training.data.world import WorldSplit

Array = npt.NDArray[Any]
Chunk = tuple[int, int]

DESCRIPTION = 'description.json'
_LOCK = 'lock'
_DESCRIPTION_PLACE = 2**40
"""Byte of the lock file that stands for the description; chunks have that of their first frame."""


def chunk_path(folder: Path, name: str, chunk: Chunk) -> Path:
    """The file of a field of a chunk."""
    return folder / f'{name}_{chunk[0]:06d}_{chunk[1]:06d}.npy'


def render_missing(folder: Path, split: WorldSplit, processes: int) -> None:
    """Render the chunks that the folder lacks a field of, with a progress bar.

    Chunks that another run is rendering right now are left to it and waited for at the end.

    Args:
        folder: of the split; made if absent.
        split: what to render.
        processes: renderers at a time, 1 to 64.

    Raises:
        DatasetError: a renderer found other code of the world than this process has loaded.
        RenderError: a renderer was killed.
    """
    missing = [c for c in split.chunks() if _missing_fields(folder, split, c)]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, split)
    done = split.count - sum(last - first for first, last in missing)
    bar = tqdm(
        total=split.count, initial=done, desc=f'world {split.preset} {split.split}', unit='frame'
    )
    with bar:
        for wait in (False, True):
            render = partial(_render_chunk, folder, split, folder.name, wait)
            busy = []
            with in_order(render, missing, workers=processes) as results:
                for chunk, rendered in results:
                    bar.update(chunk[1] - chunk[0] if rendered else 0)
                    busy += [] if rendered else [chunk]
            missing = busy


def _describe(folder: Path, split: WorldSplit) -> None:
    path, text = folder / DESCRIPTION, json.dumps(split.description(), indent=2) + '\n'
    with locked(folder / _LOCK, _DESCRIPTION_PLACE, wait=True):
        _remove_unfinished(path)
        write_atomically(path, lambda file: file.write(text.encode()))


def _remove_unfinished(path: Path) -> None:
    """Remove what a killed renderer left. Whoever holds the lock of a file is alone with it."""
    for left in unfinished_files(path):
        left.unlink(missing_ok=True)


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
    with locked(folder / _LOCK, chunk[0], wait=wait) as mine:
        if mine and (names := _missing_fields(folder, split, chunk)):
            _render(folder, split, chunk, names)
        return chunk, mine


def _render(folder: Path, split: WorldSplit, chunk: Chunk, names: list[str]) -> None:
    for name in names:
        _remove_unfinished(chunk_path(folder, name, chunk))
    views = views_of(names)
    columns: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(*chunk):
        frame = split.frame(index, views)
        for name, column in columns.items():
            column.append(encode(name, getattr(frame, name)))
    for name, column in columns.items():
        write_atomically(chunk_path(folder, name, chunk), partial(np.save, arr=np.stack(column)))
