# SPDX-License-Identifier: Apache-2.0
"""Pairs of images in files of equal length, each of them whole or not there.

A chunk is two arrays, one row per pair, and a list of the rows whose images could both be read.
While it is filled its arrays are mapped from files whose names end in `.part`, so that memory does
not grow with the time between an image and its partner in the recording. The list is written last:
a chunk without it is made again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.files import write_atomically

Array = npt.NDArray[Any]

CHUNK_PAIRS = 50
KINDS = ('thermal', 'rgb')

_PART = '.part'
_FAILURES_KEPT = 5


def array_path(folder: Path, kind: str, chunk: int) -> Path:
    """File of the images of one camera."""
    return folder / f'{kind}_{chunk:06d}.npy'


def list_path(folder: Path, chunk: int) -> Path:
    """File that says which rows count; its presence says that the chunk is whole."""
    return folder / f'chunk_{chunk:06d}.json'


def remove_parts(folder: Path) -> None:
    """Remove what a killed process left; for whoever holds the lock of the folder."""
    for part in folder.glob('*' + _PART):
        part.unlink(missing_ok=True)


class Chunk:
    """A chunk that is being filled.

    Args:
        folder: of the cache.
        index: of the chunk.
        shapes: rows, then shape of an image, by kind.
        dtypes: of the pixels, by kind.
    """

    def __init__(
        self, folder: Path, index: int, shapes: dict[str, tuple[int, ...]], dtypes: dict[str, str]
    ) -> None:
        self._folder, self._index = folder, index
        self._paths = {kind: array_path(folder, kind, index) for kind in KINDS}
        self._arrays = {
            kind: _allocated(_part(self._paths[kind]), shapes[kind], dtypes[kind])
            for kind in KINDS
        }
        rows = shapes['thermal'][0]
        self._seen = {kind: np.zeros(rows, bool) for kind in KINDS}
        self._read = {kind: np.zeros(rows, bool) for kind in KINDS}
        self._failures: list[str] = []

    def put(self, kind: str, row: int, image: Array | str) -> bool:
        """Store an image, or the reason why there is none; True if its partner was there."""
        self._seen[kind][row] = True
        if isinstance(image, str):
            self._failures.append(image)
        else:
            self._arrays[kind][row] = image
            self._read[kind][row] = True
        return bool(self._seen['thermal'][row] and self._seen['rgb'][row])

    @property
    def full(self) -> bool:
        """Whether every image was seen."""
        return all(bool(seen.all()) for seen in self._seen.values())

    def close(self) -> None:
        """Give the files their names, the list last."""
        for kind, array in self._arrays.items():
            array.flush()
            os.replace(_part(self._paths[kind]), self._paths[kind])
        both = self._read['thermal'] & self._read['rgb']
        values = {
            'rows': np.flatnonzero(both).tolist(),
            'malformed': {kind: int((~read).sum()) for kind, read in self._read.items()},
            'partner_malformed': {k: int((r & ~both).sum()) for k, r in self._read.items()},
            'failures': self._failures[:_FAILURES_KEPT],
        }
        text = json.dumps(values) + '\n'
        write_atomically(
            list_path(self._folder, self._index), lambda file: file.write(text.encode())
        )


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _allocated(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap[Any, Any]:
    """An array in a file that has its place on the disk: a full one is an error now, not later."""
    array = np.lib.format.open_memmap(path, mode='w+', dtype=np.dtype(dtype), shape=shape)
    with open(path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
