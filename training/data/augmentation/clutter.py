# SPDX-License-Identifier: Apache-2.0
"""Textures and shapes that are no object, drawn behind the objects of a training frame."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32


@lru_cache(maxsize=1)
def _textures() -> Array:
    rng = np.random.default_rng(50)
    return np.stack([_texture(rng) for _ in range(6)])


def _texture(rng: Rng, size: int = 256) -> Array:
    tile = np.zeros((size, size), F32)
    for cells in (8, 16, 32, 64, 128):
        grid = np.tile(rng.standard_normal((cells, cells), dtype=F32), (3, 3))
        big = cv2.resize(grid, (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)
        tile += F32(0.33) * big[size : 2 * size, size : 2 * size]
    tiled: Array = np.tile(tile / tile.std(), (3, 3))
    return tiled


def random_texture(shape: tuple[int, int], rng: Rng) -> Array:
    """Rough noise of unit deviation at a random scale, float32 of the shape."""
    zoom = float(np.exp(rng.uniform(np.log(0.6), np.log(3.0))))
    height, width = int(shape[0] / zoom) + 2, int(shape[1] / zoom) + 2
    sheet = _textures()[int(rng.integers(6))]
    y, x = (int(rng.integers(0, max(1, len(sheet) - side))) for side in (height, width))
    part = sheet[y : y + height, x : x + width]
    texture: Array = cv2.resize(part, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return texture


def add_clutter(kelvin: Array, label: Array, rng: Rng) -> Array:
    """Texture and draw shapes that are no object; pixels of objects stay as they are."""
    background = (label == 0).astype(F32)
    if rng.uniform() < 0.7:
        strength = F32(abs(rng.normal(0.0, 0.8)))
        kelvin = kelvin + background * random_texture(kelvin.shape, rng) * strength
    for _ in range(int(rng.poisson(5))):
        shape = cv2.GaussianBlur(_random_shape(kelvin.shape, rng), (0, 0), rng.uniform(0.4, 1.5))
        grain = random_texture(kelvin.shape, rng) * F32(abs(rng.normal(0.0, 0.8)))
        kelvin = kelvin + shape * background * (F32(rng.normal(0.0, 4.0)) + grain)
    return kelvin


def _random_shape(shape: tuple[int, int], rng: Rng) -> Array:
    height, width = shape
    mask = np.zeros(shape, F32)
    x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height) * rng.uniform(0.4, 1.0))

    def size(low: float, high: float) -> int:
        return int(np.exp(rng.uniform(np.log(low), np.log(high))))

    kind = rng.uniform()
    if kind < 0.3:
        angle = rng.normal(np.pi / 2, 0.35 if rng.uniform() < 0.7 else 1.5)
        reach = size(15, 150)
        end = (int(x + reach * np.cos(angle)), int(y - reach * np.sin(angle)))
        cv2.line(mask, (x, y), end, 1.0, size(1, 9))
    elif kind < 0.5:
        cv2.rectangle(mask, (x, y), (x + size(3, 70), y + size(3, 70)), 1.0, -1)
    elif kind < 0.65:
        axes = (size(2, 25), size(2, 25))
        cv2.ellipse(mask, (x, y), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    elif kind < 0.85:
        _draw_windows(mask, (x, y), (size(3, 18), size(5, 40)), rng)
    else:
        spread = size(4, 40)
        points = np.array([x, y]) + rng.normal(0.0, spread, (6, 2))
        cv2.fillPoly(mask, [cv2.convexHull(points.astype(np.int32))], 1.0)
    return mask


def _draw_windows(mask: Array, corner: tuple[int, int], size: tuple[int, int], rng: Rng) -> None:
    width, height = size
    step_x, step_y = int(width * rng.uniform(1.3, 3.0)), int(height * rng.uniform(1.2, 2.0))
    for row in range(int(rng.integers(1, 5))):
        for column in range(int(rng.integers(2, 8))):
            if rng.uniform() < 0.8:
                x, y = corner[0] + column * step_x, corner[1] - row * step_y
                cv2.rectangle(mask, (x, y), (x + width, y + height), 1.0, -1)
