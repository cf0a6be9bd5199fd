# SPDX-License-Identifier: Apache-2.0
"""Which parts of a frame are looked at apart: tiles, and squares about things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_JITTER = 0.35


class Window(NamedTuple):
    """A part of a frame: first row and column, height and width; `label` is that of its thing."""

    top: int
    left: int
    height: int
    width: int
    label: int = 0


def tile_windows(size: tuple[int, ...], rows: int, columns: int) -> list[Window]:
    """Equal parts of a frame of (height, width), row by row."""
    high, wide = size[0] // rows, size[1] // columns
    return [Window(y * high, x * wide, high, wide) for y in range(rows) for x in range(columns)]


def crop_windows(
    label: Array,
    instance: Array,
    ids: tuple[int, ...],
    rng: np.random.Generator,
    *,
    shares: tuple[float, float],
    least_px: int,
) -> Iterator[Window]:
    """A square about each thing, moved about at random, inside the frame.

    Args:
        label: class ids, [height, width].
        instance: object ids, of the same shape.
        ids: of the classes whose things are wanted.
        rng: consumed.
        shares: least and largest share of the square's side that its thing takes.
        least_px: things whose longer side is less are left out.
    """
    wanted = np.isin(label, ids)
    for thing in np.unique(instance[wanted]):
        rows, columns = np.nonzero((instance == thing) & wanted)
        first = (int(rows.min()), int(columns.min()))
        size = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        share, jitter = rng.uniform(*shares), rng.uniform(-_JITTER, _JITTER, 2)
        if max(size) < least_px:
            continue
        side = min(round(max(size) / share), *label.shape)
        top, left = (
            int(np.clip(round(f + s / 2 - side / 2 + j * (side - s)), 0, full - side))
            for f, s, j, full in zip(first, size, jitter, label.shape, strict=True)
        )
        yield Window(top, left, side, side, int(np.bincount(label[rows, columns]).argmax()))


def by_turns(
    windows: list[tuple[int, Window]], ids: tuple[int, ...], count: int
) -> list[tuple[int, Window]]:
    """The first windows of each class, the classes by turns, as long as there are any of them.

    Args:
        windows: with the number of their frame.
        ids: of the classes.
        count: windows at most.
    """
    queues = [[entry for entry in windows if entry[1].label == k] for k in ids]
    chosen: list[tuple[int, Window]] = []
    turn = 0
    while len(chosen) < count and any(len(queue) > turn for queue in queues):
        chosen += [queue[turn] for queue in queues if len(queue) > turn]
        turn += 1
    return chosen[:count]
