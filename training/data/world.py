# SPDX-License-Identifier: Apache-2.0
"""The synthetic world as a data set: rendered once, cached in chunks, memory-mapped.

A chunk is written to a temporary name and renamed, so a killed renderer leaves whole chunks only
and the next run goes on where it stopped. Processes may render at the same time: a chunk's bits
depend on its frames alone, whoever wrote it.

    python -m training.data.world --count 3000 --seed 1000 --processes 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig, render_frame

Array = npt.NDArray[Any]

WORLD_VERSION = 1
"""Raised whenever the world renders other frames from the same arguments."""

CHUNK_FRAMES = 50
_PARTS = ('thermal', 'label')


@dataclass(frozen=True)
class WorldSplit:
    """Frames 0 to count - 1 of one seed of the world.

    Args:
        seed: which data set, >= 0; splits must differ in it.
        count: frames, >= 1.
        world: what is rendered.
    """

    seed: int = 1000
    count: int = 3000
    world: WorldConfig = field(default_factory=WorldConfig)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.count < 1:
            raise ConfigError(f'seed must be >= 0 and count >= 1, got {self.seed}, {self.count}')

    def key(self) -> str:
        """Name of the cache folder: the same for splits that differ in their count only."""
        versions = (WORLD_VERSION, np.__version__, cv2.__version__)
        description = json.dumps([self.seed, asdict(self.world), versions], sort_keys=True)
        return hashlib.sha256(description.encode()).hexdigest()[:16]

    def chunks(self) -> list[tuple[int, int]]:
        """First and last + 1 frame of every chunk; only the last one may be short."""
        starts = range(0, self.count, CHUNK_FRAMES)
        return [(start, min(start + CHUNK_FRAMES, self.count)) for start in starts]


class WorldData(Sequence[tuple[Array, Array]]):
    """A rendered split, memory-mapped.

    Args:
        folder: of the split's chunks.
        split: what was rendered.
    """

    def __init__(self, folder: Path, split: WorldSplit) -> None:
        self.folder, self.split = folder, split
        self._thermal = [
            np.load(_path(folder, 'thermal', c), mmap_mode='r') for c in split.chunks()
        ]
        self._label = [np.load(_path(folder, 'label', c), mmap_mode='r') for c in split.chunks()]

    def __len__(self) -> int:
        return self.split.count

    def __getitem__(self, index: int) -> tuple[Array, Array]:  # type: ignore[override]
        """Thermal image (uint16 centikelvin) and label (uint8) of a frame; read-only."""
        if not 0 <= index < len(self):
            raise IndexError(f'index must be 0 to {len(self) - 1}, got {index}')
        chunk, row = divmod(index, CHUNK_FRAMES)
        return self._thermal[chunk][row], self._label[chunk][row]

    def digest(self) -> str:
        """SHA-256 of all pixels in order."""
        digest = hashlib.sha256()
        for chunk in (*self._thermal, *self._label):
            digest.update(chunk.tobytes())
        return digest.hexdigest()

    def class_shares(self) -> Array:
        """Share of pixels per class, float64 [9], from every seventh row and column."""
        counts = sum(
            np.bincount(chunk[:, ::7, ::7].ravel(), minlength=9).astype(float)
            for chunk in self._label
        )
        return np.asarray(counts / np.sum(counts))


def load_world(split: WorldSplit, cache: Path, *, processes: int = 1) -> WorldData:
    """Render what the cache lacks, then map it.

    Args:
        split: what to render.
        cache: folder of all splits.
        processes: renderers at a time, >= 1.
    """
    folder = cache / split.key()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [c for c in split.chunks() if not all(_path(folder, p, c).exists() for p in _PARTS)]
    render = partial(_render_chunk, folder, split)
    bar = tqdm(total=len(missing) * CHUNK_FRAMES, desc=f'world {split.seed}', unit='frame')
    with bar:
        for _ in _map(render, missing, processes):
            bar.update(CHUNK_FRAMES)
    return WorldData(folder, split)


def _map(
    render: Callable[[tuple[int, int]], None], chunks: list[tuple[int, int]], processes: int
) -> Iterator[None]:
    if processes == 1:
        yield from map(render, chunks)
        return
    with multiprocessing.get_context('spawn').Pool(processes) as pool:
        yield from pool.imap_unordered(render, chunks)


def _path(folder: Path, part: str, chunk: tuple[int, int]) -> Path:
    return folder / f'{part}_{chunk[0]:06d}_{chunk[1]:06d}.npy'


def _render_chunk(folder: Path, split: WorldSplit, chunk: tuple[int, int]) -> None:
    cv2.setNumThreads(1)
    frames = [render_frame(split.world, split.seed, index) for index in range(*chunk)]
    for part in _PARTS:
        _save(_path(folder, part, chunk), np.stack([getattr(frame, part) for frame in frames]))


def _save(path: Path, array: Array) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix='.tmp')
    with os.fdopen(handle, 'wb') as file:
        np.save(file, array)
    os.replace(name, path)


def main() -> None:
    parser = argparse.ArgumentParser(description='Render a split of the world into the cache.')
    parser.add_argument('--seed', type=int, default=1000)
    parser.add_argument('--count', type=int, default=3000)
    parser.add_argument('--cache', type=Path, default=Path('runs/world'))
    parser.add_argument('--processes', type=int, default=1)
    args = parser.parse_args()
    data = load_world(WorldSplit(args.seed, args.count), args.cache, processes=args.processes)
    print(f'{len(data)} frames in {data.folder}, digest {data.digest()}')


if __name__ == '__main__':
    main()
