# SPDX-License-Identifier: Apache-2.0
"""Which thermal and color images belong together, by their header stamps alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError

Array = npt.NDArray[Any]

MAX_CANDIDATES = 10_000_000
"""Of pairs that are compared; cameras of 100 Hz and a gap of 20 ms have 5 per image."""

_NS_PER_MS = 1_000_000


def pair_stamps(thermal_ns: Sequence[int], rgb_ns: Sequence[int], max_gap_ns: int) -> Array:
    """Pair nearest stamps, the nearest of all first; each image is used once.

    No two images that are left over could be paired with one another. Stamps of 0 and below are
    those of drivers that do not stamp, and are never paired.

    Args:
        thermal_ns: stamps in any order.
        rgb_ns: as well.
        max_gap_ns: largest difference within a pair, >= 0.

    Returns:
        Indices into both, int64 [pairs, 2], by thermal stamp.

    Raises:
        ConfigError: more than `MAX_CANDIDATES` pairs lie within the gap.
    """
    thermal, rgb = (_sorted(stamps) for stamps in (thermal_ns, rgb_ns))
    first = np.searchsorted(rgb[1], thermal[1] - max_gap_ns, 'left')
    counts = np.searchsorted(rgb[1], thermal[1] + max_gap_ns, 'right') - first
    if counts.sum() > MAX_CANDIDATES:
        raise ConfigError(
            f'at most {MAX_CANDIDATES} pairs may lie within max_gap_ms, got {counts.sum()}: lower '
            'it; if that does not help, many images carry one and the same stamp'
        )
    i = np.repeat(np.arange(len(counts)), counts)
    j = np.arange(len(i)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    gap = np.abs(thermal[1][i] - rgb[1][j])
    nearest = np.lexsort((j, i, gap))
    pairs = _each_once(i[nearest].tolist(), j[nearest].tolist())
    return np.stack([order[pairs[:, k]] for k, (order, _) in enumerate((thermal, rgb))], axis=1)


def chosen(pairs: Array, stride: int, max_frames: int) -> Array:
    """Every `stride`-th pair, and of these the first `max_frames`; 0 for all."""
    kept = pairs[::stride]
    return kept[:max_frames] if max_frames else kept


def nearest_gaps_ms(thermal_ns: Sequence[int], rgb_ns: Sequence[int]) -> Array:
    """How far the nearest color image of every thermal one is; none without stamps."""
    thermal, rgb = (_sorted(stamps)[1] for stamps in (thermal_ns, rgb_ns))
    if not len(thermal) or not len(rgb):
        return np.zeros(0)
    after = np.searchsorted(rgb, thermal)
    sides = (rgb[np.clip(after - k, 0, len(rgb) - 1)] for k in (0, 1))
    gaps: Array = np.min([np.abs(thermal - side) for side in sides], axis=0) / _NS_PER_MS
    return gaps


def _sorted(stamps: Sequence[int]) -> tuple[Array, Array]:
    """Indices of the valid stamps in their order, and these stamps."""
    values = np.asarray(stamps, np.int64)
    order = np.argsort(values, kind='stable')
    order = order[values[order] > 0]
    return order, values[order]


def _each_once(thermal: list[int], rgb: list[int]) -> Array:
    partner: dict[int, int] = {}
    used: set[int] = set()
    for i, j in zip(thermal, rgb, strict=True):
        if i not in partner and j not in used:
            partner[i] = j
            used.add(j)
    return np.array(sorted(partner.items()), np.int64).reshape(-1, 2)
