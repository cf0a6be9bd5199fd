# SPDX-License-Identifier: Apache-2.0
"""Tiles of a figure beside and below each other, with gaps, under the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GAP_PX = 4
_HEADER_PX = 20


def gray_picture(plane: Array) -> Array:
    """A map of 0 to 1 [height, width] in gray, uint8 [height, width, 3]."""
    gray: Array = (plane[:, :, None] * 255.0).astype(np.uint8).repeat(3, axis=2)
    return gray


def header(names: Sequence[str], width: int) -> Array:
    """The names of the columns over their tiles, uint8 [h, w, 3].

    Args:
        names: of the columns.
        width: of each of them in pixels, without the gap.
    """
    image = np.full((_HEADER_PX, len(names) * (width + GAP_PX) - GAP_PX, 3), 255, np.uint8)
    for k, name in enumerate(names):
        place = (k * (width + GAP_PX) + 2, _HEADER_PX - 6)
        cv2.putText(image, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0,) * 3, 1, cv2.LINE_AA)
    return image


def beside(tiles: Sequence[Array]) -> Array:
    """Tiles from left to right, uint8 [height, w, 3].

    Args:
        tiles: uint8 [height, width, 3] of one height.
    """
    gap = np.full((tiles[0].shape[0], GAP_PX, 3), 255, np.uint8)
    return np.hstack([part for tile in tiles for part in (tile, gap)][:-1])


def below(rows: Sequence[Array]) -> Array:
    """Rows from top to bottom, uint8 [h, width, 3].

    Args:
        rows: uint8 [height, width, 3] of one width.
    """
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for row in rows for part in (row, gap)][:-1])


def sized(tile: Array, size: tuple[int, int]) -> Array:
    """A tile at a size (height, width), its pixels as squares."""
    return np.asarray(cv2.resize(tile, size[::-1], interpolation=cv2.INTER_NEAREST))
