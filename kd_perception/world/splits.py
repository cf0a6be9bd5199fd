# SPDX-License-Identifier: Apache-2.0
"""Splits that cannot share a frame: every split draws from seeds of its own."""

from __future__ import annotations

from typing import Final

from kd_perception.errors import ConfigError

SPLITS: Final = ('train', 'val', 'test', 'shifted')
"""Names of the splits; `shifted` goes with the preset of that name."""


def split_seed(split: str, seed: int) -> int:
    """The seed of a split's frames; no two pairs of split and seed give the same.

    Args:
        split: one of `SPLITS`.
        seed: of the data set, >= 0.

    Raises:
        ConfigError: for an unknown split or a negative seed.
    """
    if split not in SPLITS:
        raise ConfigError(f'split must be one of {", ".join(SPLITS)}, got {split!r}')
    if seed < 0:
        raise ConfigError(f'seed must be >= 0, got {seed}')
    return len(SPLITS) * seed + SPLITS.index(split)
