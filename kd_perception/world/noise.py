# SPDX-License-Identifier: Apache-2.0
"""Tiling noise for surfaces: looked up in meters, faded where a pixel covers many texels."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.scenes.shapes import Array

TILE_COUNT = 4
TILE_SIZE = 256
_BANK_SIZE = 1 << 22
_OCTAVES = ((8, 0.5), (16, 0.35), (32, 0.25), (64, 0.18), (128, 0.12))


@lru_cache(maxsize=1)
def noise_tiles() -> Array:
    """Zero-mean noise of unit deviation, float32 [TILE_COUNT, TILE_SIZE, TILE_SIZE], read-only."""
    return _frozen(np.stack([_tile(np.random.default_rng(1000 + k)) for k in range(TILE_COUNT)]))


@lru_cache(maxsize=1)
def _normal_bank() -> Array:
    return _frozen(np.random.default_rng(999).standard_normal(_BANK_SIZE, dtype=np.float32))


def normal_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Independent normal numbers for the pixels of one image, float32, read-only.

    They are a stretch of a fixed bank of four million, because drawing them anew would take a
    tenth of the time that a frame takes; larger images than that are drawn.

    Args:
        shape: of the image.
        rng: says where the stretch begins.
    """
    count = int(np.prod(shape))
    if 2 * count > _BANK_SIZE:
        return _frozen(rng.standard_normal(shape, dtype=np.float32))
    start = int(rng.integers(_BANK_SIZE - count))
    return _normal_bank()[start : start + count].reshape(shape)


@lru_cache(maxsize=1)
def cloud_tiles() -> Array:
    """The same noise without its fine octaves."""
    n = TILE_SIZE
    smooth = [cv2.GaussianBlur(np.tile(tile, (3, 3)), (0, 0), 4.0) for tile in noise_tiles()]
    return _frozen(np.stack([s[n : 2 * n, n : 2 * n] * np.float32(1.6) for s in smooth]))


def _frozen(array: Array) -> Array:
    """The array, which nobody may write into: it is handed out again."""
    array.setflags(write=False)
    return array


def _tile(rng: np.random.Generator) -> Array:
    n = TILE_SIZE
    tile = np.zeros((n, n), np.float32)
    for cells, amplitude in _OCTAVES:
        grid = np.tile(rng.standard_normal((cells, cells), dtype=np.float32), (3, 3))
        big = cv2.resize(grid, (3 * n, 3 * n), interpolation=cv2.INTER_CUBIC)
        tile += amplitude * big[n : 2 * n, n : 2 * n]
    scaled: Array = tile / tile.std()
    return scaled


@inlined
def noise(
    tiles: Array, kind: int, u_m: float, v_m: float, texels_per_m: float, footprint_m: float
) -> float:
    """Zero-mean noise of about unit deviation at a point of a surface; compiled.

    Args:
        tiles: float32 [kinds, TILE_SIZE, TILE_SIZE].
        kind: which of the tiles, any int.
        u_m: first surface coordinate [m].
        v_m: second surface coordinate [m].
        texels_per_m: scale of the pattern.
        footprint_m: size of a pixel on the surface [m]; a pixel that covers many texels sees
            their mean.
    """
    column = int(np.floor(u_m * texels_per_m)) & (TILE_SIZE - 1)
    row = int(np.floor(v_m * texels_per_m)) & (TILE_SIZE - 1)
    texels = footprint_m * texels_per_m
    value: float = tiles[kind & (TILE_COUNT - 1), row, column] / (1.0 + 0.15 * texels * texels)
    return value


@inlined
def hash01(a: int, b: int, c: int) -> float:
    """A fixed pseudo-random number in [0, 1) of three whole numbers; compiled."""
    n = (a * 374761393 + b * 668265263 + c * 362437) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    n = n ^ (n >> 16)
    return (n & 0xFFFFFF) / 16777216.0
