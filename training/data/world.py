# SPDX-License-Identifier: Apache-2.0
"""The synthetic world as a data set: rendered, cached in chunks, memory-mapped.

A folder of the cache belongs to one seed of one world, and is named by a hash of that and of the
code that renders it: an edit of the world makes a new folder; an edit of its comments, or moving
its functions to other modules, does not. In it there is one file per field and chunk. A field that
is asked for later is added to what is there. A frame is rendered once, with one exception: when
more frames are asked for later, those of a last chunk that was short are rendered again in a full
one. A file is written under a temporary name and renamed, so a killed renderer leaves whole files,
and one of that name, which whoever writes the file next removes; the next run goes on where it
stopped. Any number of processes may render the same split, but not threads of one process: each
chunk has a lock that ends with the process that holds it, and its bits depend on its frames alone.

    python -m training.data.world --split train --seed 0 --count 3000 --processes 2 \
        --fields thermal rgb label
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.world.config import WorldConfig
from kd_perception.world.frame import WorldFrame
from kd_perception.world.presets import preset
from kd_perception.world.render import render_frame
from kd_perception.world.splits import SPLITS, split_seed
from training.data.field_storage import decode
from training.data.rendering import Chunk, chunk_path, render_missing
from training.data.source_digest import source_digest
from training.data.world_fields import FIELDS, WorldSample, check_fields

Array = npt.NDArray[Any]

CHUNK_FRAMES = 50
SEGMENTATION_FIELDS = ('thermal', 'label')

# Taken at import: an edit that happens while a process runs is not what that process renders by.
_SOURCES = tuple(
    source_digest(name) for name in ('kd_perception.world.render', 'training.data.field_storage')
)


@dataclass(frozen=True)
class WorldSplit:
    """Frames 0 to count - 1 of one seed of a split of the world.

    Args:
        split: one of `SPLITS`; frames of different splits never share a seed of the world.
        seed: which data set of the split, >= 0.
        count: frames, >= 1.
        preset: name of the world.
        world: settings of `WorldConfig` that differ from the preset.
        fields: what is stored of a frame, names of `FIELDS`.
    """

    split: str = 'train'
    seed: int = 0
    count: int = 3000
    preset: str = 'default'
    world: dict[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = SEGMENTATION_FIELDS

    def __post_init__(self) -> None:
        object.__setattr__(self, 'fields', tuple(self.fields))
        if self.split not in SPLITS:
            raise ConfigError(f'split must be one of {list(SPLITS)}, got {self.split!r}')
        if self.seed < 0 or self.count < 1:
            raise ConfigError(f'seed must be >= 0 and count >= 1, got {self.seed}, {self.count}')
        check_fields(self.fields)
        self.config()

    def config(self) -> WorldConfig:
        """The world of this split.

        Raises:
            ConfigError: unknown preset or setting, or a value out of its range.
        """
        return preset(self.preset, **self.world)

    def world_seed(self) -> int:
        """The seed that the world is rendered with."""
        return split_seed(self.split, self.seed)

    def frame(self, index: int, views: Sequence[str]) -> WorldFrame:
        """Render a frame, with the views that are asked for."""
        return render_frame(self.config(), self.world_seed(), index, views)

    def description(self) -> dict[str, Any]:
        """What the pixels depend on; neither the count nor the choice of fields does."""
        return {
            'world_seed': self.world_seed(),
            'world': asdict(self.config()),
            'sources': _SOURCES,
            'versions': {name: version(name) for name in ('numpy', 'numba')},
            'opencv': cv2.__version__,
        }

    def key(self) -> str:
        """Name of the cache folder: a hash of the description."""
        description = json.dumps(self.description(), sort_keys=True)
        return hashlib.sha256(description.encode()).hexdigest()[:16]

    def chunks(self) -> list[Chunk]:
        """First and last + 1 frame of every chunk; only the last one may be short."""
        starts = range(0, self.count, CHUNK_FRAMES)
        return [(start, min(start + CHUNK_FRAMES, self.count)) for start in starts]


def preset_splits(test: WorldSplit, presets: Iterable[str], count: int) -> dict[str, WorldSplit]:
    """The world of a test split under other presets, by name; `shifted` is a split of its own.

    Args:
        test: frames that choose nothing.
        presets: names of worlds.
        count: frames of each of them.
    """
    return {
        name: replace(
            test, split='shifted' if name == 'shifted' else test.split, preset=name, count=count
        )
        for name in presets
    }


class WorldData(Sequence[WorldSample]):
    """A rendered split, memory-mapped.

    Args:
        folder: of the split's chunks.
        split: what was rendered.
    """

    def __init__(self, folder: Path, split: WorldSplit) -> None:
        self.folder, self.split = folder, split
        self._chunks = {
            name: [np.load(chunk_path(folder, name, c), mmap_mode='r') for c in split.chunks()]
            for name in split.fields
        }

    def __len__(self) -> int:
        return self.split.count

    def __getitem__(self, index: int) -> WorldSample:  # type: ignore[override]
        """A frame with the fields that the split asks for."""
        if not 0 <= index < len(self):
            raise IndexError(f'index must be 0 to {len(self) - 1}, got {index}')
        chunk, row = divmod(index, CHUNK_FRAMES)
        values = {name: decode(name, chunks[chunk][row]) for name, chunks in self._chunks.items()}
        return WorldSample(**values)

    def digest(self) -> str:
        """SHA-256 of all pixels in order, field by field in the order of `FIELDS`."""
        digest = hashlib.sha256()
        for name in FIELDS:
            for chunk in self._chunks.get(name, ()):
                digest.update(np.ascontiguousarray(chunk).data)
        return digest.hexdigest()

    def class_shares(self) -> Array:
        """Share of pixels per class, float64 [9], from every seventh row and column."""
        if 'label' not in self._chunks:
            raise ConfigError(f'fields must hold label, got {self.split.fields}')
        counts = sum(
            np.bincount(chunk[:, ::7, ::7].ravel(), minlength=9).astype(float)
            for chunk in self._chunks['label']
        )
        return np.asarray(counts / np.sum(counts))


def load_world(split: WorldSplit, cache: Path, *, processes: int = 1) -> WorldData:
    """Render what the cache lacks, then map it.

    Args:
        split: what to render.
        cache: folder of all splits.
        processes: renderers at a time, 1 to 64.
    """
    folder = cache / split.key()
    render_missing(folder, split, processes)
    return WorldData(folder, split)


def described(data: WorldData) -> dict[str, Any]:
    """Key, digest and class shares of frames that a run learns from, for its checkpoint."""
    return {
        'key': data.split.key(),
        'digest': data.digest(),
        'class_shares': data.class_shares().tolist(),
    }


def check_described(known: Mapping[str, Any], split: WorldSplit, folder: Path) -> None:
    """Refuse to go on with, or to score on, frames of another world than a run began with.

    Args:
        known: what `described` gave when the run began; empty if it has not.
        split: that the run learns from.
        folder: of the run.

    Raises:
        ConfigError: the code of the world has changed since.
    """
    key = split.key()
    if known and known['key'] != key:
        raise ConfigError(
            f'a run must go on with the frames it began with, {known["key"]}, got {key}: the code '
            f'of the world has changed; remove {folder} to start again'
        )


def main(arguments: Iterable[str] | None = None) -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description='Render a split of the world into the cache.')
    parser.add_argument('--split', choices=SPLITS, default='train')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--count', type=int, default=3000)
    parser.add_argument('--preset', default='default')
    parser.add_argument('--world', type=json.loads, default={}, help='JSON, as {"height": 240}')
    parser.add_argument('--fields', nargs='+', choices=FIELDS, default=SEGMENTATION_FIELDS)
    parser.add_argument('--cache', type=Path, default=Path('runs/world'))
    parser.add_argument('--processes', '--workers', type=int, default=1)
    own = vars(parser.parse_args(None if arguments is None else list(arguments)))
    cache, processes = own.pop('cache'), own.pop('processes')
    data = load_world(WorldSplit(**own), cache, processes=processes)
    print(f'{len(data)} frames in {data.folder}, digest {data.digest()}')


if __name__ == '__main__':
    main()
