# SPDX-License-Identifier: Apache-2.0
"""What is to be exported, and the frames that it consists of."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig
from kd_perception.world.presets import preset
from kd_perception.world.splits import SPLITS

ENCODINGS = ('mono16', '16UC1')
SHIFTED = 'shifted'
"""Name of the split, and of the preset that it is rendered with."""

MAX_FRAMES = 9_999  # what the file names of every layout hold

MAX_DEPTH_M = 80.0
"""Where the world cuts depth; from there on it counts as unknown."""

_MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class ExportPlan:
    """One export; the same plan gives the same bytes.

    Attributes:
        layout: A key of `LAYOUTS`.
        out: Folder to make.
        splits: Number of labeled frames by split.
        seed: Which world.
        preset: Of the world; the split `shifted` has its own.
        image_size: (height, width).
        rate_hz: Frames per second of drives.
        paired: The world's switch of co-occurring things.
        encoding: Of the thermal images of a recording.
    """

    layout: str
    out: Path
    splits: Mapping[str, int] = field(default_factory=lambda: {'train': 10})
    seed: int = 0
    preset: str = 'default'
    image_size: tuple[int, int] = (480, 640)
    rate_hz: float = 10.0
    paired: bool = False
    encoding: str = 'mono16'

    def __post_init__(self) -> None:
        """Check the values, those of the world included."""
        unknown = set(self.splits) - set(SPLITS)
        counts = self.splits.values()
        if unknown or not counts or min(counts) < 1 or sum(counts) > MAX_FRAMES:
            raise ConfigError(
                f'an export has 1 to {MAX_FRAMES} frames, in splits of {", ".join(SPLITS)}; '
                f'received {dict(self.splits)}'
            )
        if self.seed < 0 or not 0.1 <= self.rate_hz <= 100.0:
            raise ConfigError(
                'the seed must be at least 0 and the rate 0.1 to 100 frames per second; received '
                f'{self.seed} and {self.rate_hz}'
            )
        if max(self.image_size) > _MAX_SIDE_PX:
            raise ConfigError(
                f'height and width must be at most {_MAX_SIDE_PX}; received {self.image_size}'
            )
        if self.encoding not in ENCODINGS:
            raise ConfigError(
                f'the encoding must be one of {", ".join(ENCODINGS)}; received {self.encoding!r}'
            )
        self.world_config('')

    def world_config(self, split: str) -> WorldConfig:
        """Return the world's settings for a split.

        Raises:
            ConfigError: The preset is unknown, or the size too small.
        """
        height, width = self.image_size
        name = SHIFTED if split == SHIFTED else self.preset
        return preset(
            name, height=height, width=width, paired=self.paired, max_depth_m=MAX_DEPTH_M
        )

    def command(self) -> str:
        """Return the command that makes this export."""
        height, width = self.image_size
        words = ['kd-perception', 'world', self.layout, self.out.name, '--splits']
        words += [f'{name}={count}' for name, count in self.splits.items()]
        words += ['--seed', str(self.seed), '--preset', self.preset]
        words += ['--size', f'{height}x{width}', '--rate', f'{self.rate_hz:g}']
        words += ['--paired'] * self.paired
        words += ['--encoding', self.encoding] if self.layout == 'bag' else []
        return shlex.join(words)


@dataclass(frozen=True)
class Job:
    """One frame to render and write.

    Attributes:
        split: Whose settings and seed it has.
        seed: Of the world, for this split or this drive.
        index: Number of the frame in the world of that seed, or in the drive.
        group: Name of the split, the drive, or of what else belongs together.
        number: Of the labeled frame in the whole export, from 1.
        views: What of it is wanted.
        time_s: Time in the drive; None for a frame that stands alone.
    """

    split: str
    seed: int
    index: int
    group: str
    number: int
    views: tuple[str, ...]
    time_s: float | None = None


def shared_out(count: int, splits: Sequence[str]) -> dict[str, int]:
    """Share frames out: half to the first split, the rest evenly, none to a split without any.

    Args:
        count: Frames in all.
        splits: Names, the one to train on first.
    """
    others = len(splits) - 1
    small = count // (2 * others) if others else 0
    counts = dict.fromkeys(splits, small) | {splits[0]: count - others * small}
    return {name: share for name, share in counts.items() if share}
