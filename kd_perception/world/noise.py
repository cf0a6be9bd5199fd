# SPDX-License-Identifier: Apache-2.0
"""Tiling noise for surfaces: looked up in meters, faded where a pixel covers many texels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TILE_COUNT = 4
_SIZE = 256
_OCTAVES = ((8, 0.5), (16, 0.35), (32, 0.25), (64, 0.18), (128, 0.12))


@lru_cache(maxsize=1)
def _tiles() -> Array:
    return np.stack([_tile(np.random.default_rng(1000 + k)) for k in range(TILE_COUNT)])


@lru_cache(maxsize=1)
def _clouds() -> Array:
    smooth = [cv2.GaussianBlur(np.tile(tile, (3, 3)), (0, 0), 4.0) for tile in _tiles()]
    return np.stack([s[_SIZE : 2 * _SIZE, _SIZE : 2 * _SIZE] * 1.6 for s in smooth])


def _tile(rng: np.random.Generator) -> Array:
    tile = np.zeros((_SIZE, _SIZE), np.float32)
    for cells, amplitude in _OCTAVES:
        grid = np.tile(rng.standard_normal((cells, cells), dtype=np.float32), (3, 3))
        big = cv2.resize(grid, (3 * _SIZE, 3 * _SIZE), interpolation=cv2.INTER_CUBIC)
        tile += amplitude * big[_SIZE : 2 * _SIZE, _SIZE : 2 * _SIZE]
    scaled: Array = tile / tile.std()
    return scaled


def _lookup(tile: Array, u: Array, v: Array) -> Array:
    column = np.floor(u).astype(np.int32) & (_SIZE - 1)
    row = np.floor(v).astype(np.int32) & (_SIZE - 1)
    found: Array = tile[row, column]
    return found


def noise(kind: int, u_m: Array, v_m: Array, texels_per_m: float, footprint_m: Array) -> Array:
    """Zero-mean noise of about unit deviation on a surface.

    Args:
        kind: which of the `TILE_COUNT` tiles.
        u_m: first surface coordinate [m].
        v_m: second surface coordinate, same shape [m].
        texels_per_m: scale of the pattern.
        footprint_m: size of a pixel on the surface [m]; a pixel that covers many texels sees
            their mean.
    """
    tile = _tiles()[kind % TILE_COUNT]
    value: Array = _lookup(tile, u_m * np.float32(texels_per_m), v_m * np.float32(texels_per_m))
    texels = footprint_m * np.float32(texels_per_m)
    faded: Array = value / (1.0 + np.float32(0.15) * texels * texels)
    return faded


def cloud(kind: int, azimuth: Array, elevation: Array) -> Array:
    """Smooth zero-mean noise over the sky by azimuth [rad] and tangent of the elevation."""
    return _lookup(_clouds()[kind % TILE_COUNT], azimuth * 90.0, elevation * 160.0)
