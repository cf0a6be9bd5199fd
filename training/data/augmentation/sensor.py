# SPDX-License-Identifier: Apache-2.0
"""Faults and habits of thermal cameras, each a function of (array, rng, config).

A fault whose share is 0 draws nothing from the stream, so that turning one on changes no run in
which it is off.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.uncertainty import IGNORE_INDEX

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32


@dataclass(frozen=True)
class SensorConfig:
    """How often frames show a fault, and how strong it is. Shares are 0 to 1.

    Args:
        polarity_share: hot and cold are swapped (black-hot instead of white-hot).
        vignette_share: the frame's edge reads warmer or colder than its middle.
        vignette_k: deviation of that difference at the corners.
        column_share: columns have offsets of their own and even ones differ from odd ones.
        column_k: deviation of these offsets, and of those of rows.
        row_share: rows have offsets of their own.
        drift_share: offsets vary slowly over the frame, as between two closings of the shutter.
        drift_k: deviation of these offsets.
        contrast_share: heat contrasts are weak, as in rain and fog, behind a wet or dirty window,
            or at the hours when everything is equally warm.
        contrast_least: what is left of them at least, 0 to 1.
        corner_share: corners are black, as registration to another camera leaves them.
        region_share: rectangles are dead.
        region_largest: their longest side as a share of the frame's, 0 to 1.
        pixel_share: single pixels, and maybe a row or a column, are stuck.
        pixel_most: largest share of stuck pixels in such a frame.
    """

    polarity_share: float = 0.0
    vignette_share: float = 0.0
    vignette_k: float = 2.0
    column_share: float = 0.0
    column_k: float = 0.3
    row_share: float = 0.0
    drift_share: float = 0.0
    drift_k: float = 1.0
    contrast_share: float = 0.0
    contrast_least: float = 0.15
    corner_share: float = 0.1
    region_share: float = 0.0
    region_largest: float = 0.25
    pixel_share: float = 0.0
    pixel_most: float = 1e-3

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        bad = {k: v for k, v in values.items() if not 0.0 <= v <= (99.0 if k[-2:] == '_k' else 1)}
        if bad:
            raise ConfigError(f'shares must be 0 to 1 and kelvins 0 to 99, got {bad}')

    @classmethod
    def strong(cls) -> SensorConfig:
        """All faults turned on."""
        return cls(
            polarity_share=0.25,
            vignette_share=0.4,
            column_share=0.4,
            row_share=0.2,
            drift_share=0.4,
            contrast_share=0.3,
            corner_share=0.2,
            region_share=0.15,
            pixel_share=0.2,
        )


def _happens(share: float, rng: Rng) -> bool:
    return share > 0.0 and bool(rng.uniform() < share)


def invert_polarity(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Mirror temperatures about the mean of the scene."""
    if not _happens(config.polarity_share, rng):
        return kelvin
    mirrored: Array = F32(2.0) * kelvin.mean(dtype=F32) - kelvin
    return mirrored


def add_vignetting(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Warm or cool the frame towards its edge, with the square of the distance from a center.

    The lens and its holder shine on uncooled sensors, and the gain falls off as cos^4.
    """
    if not _happens(config.vignette_share, rng):
        return kelvin
    height, width = kelvin.shape
    center_x, center_y = rng.normal(0.0, 0.15, 2)
    y = np.linspace(-1.0, 1.0, height)[:, None] - center_y
    x = np.linspace(-1.0, 1.0, width)[None] - center_x
    fall = (F32(rng.normal(0.0, config.vignette_k) / 2.0) * (x * x + y * y)).astype(F32)
    result: Array = kelvin + fall
    return result


def add_column_pattern(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Give every column of the readout an offset, and even columns a common one."""
    if not _happens(config.column_share, rng):
        return kelvin
    width = kelvin.shape[1]
    offsets: Array = F32(config.column_k) * rng.standard_normal((width,), dtype=F32)
    offsets[::2] += F32(rng.normal(0.0, config.column_k))
    return kelvin + offsets


def add_row_pattern(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Give every row an offset, as readouts of lines one after another do."""
    if not _happens(config.row_share, rng):
        return kelvin
    offsets: Array = F32(config.column_k) * rng.standard_normal((len(kelvin), 1), dtype=F32)
    return kelvin + offsets


def add_drift(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Add smooth blotches of a few across the frame: each part of the core drifts by its own."""
    if not _happens(config.drift_share, rng):
        return kelvin
    height, width = kelvin.shape
    cells = rng.integers(3, 8, 2)
    coarse = F32(config.drift_k) * rng.standard_normal(cells, dtype=F32)
    result: Array = kelvin + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return result


def weaken_contrast(kelvin: Array, rng: Rng, config: SensorConfig) -> Array:
    """Draw temperatures to the mean of the scene; noise and patterns of the camera come later."""
    if not _happens(config.contrast_share, rng):
        return kelvin
    mean, left = kelvin.mean(dtype=F32), F32(rng.uniform(config.contrast_least, 1.0))
    result: Array = mean + left * (kelvin - mean)
    return result


def hide_corners(gray: Array, label: Array, rng: Rng, config: SensorConfig) -> tuple[Array, Array]:
    """Blacken corners, as registration to another camera does; their label is unknown."""
    if not _happens(config.corner_share, rng):
        return gray, label
    height, width = gray.shape
    kept = np.ones(gray.shape, np.uint8)
    for x, y in ((0, 0), (width, 0), (0, height), (width, height)):
        if rng.uniform() < 0.5:
            inward_x = x + (1 if x == 0 else -1) * int(rng.uniform(5, 60))
            inward_y = y + (1 if y == 0 else -1) * int(rng.uniform(5, 60))
            cv2.fillPoly(kept, [np.array([(x, y), (inward_x, y), (x, inward_y)], np.int32)], 0)
    return gray * kept, np.where(kept > 0, label, np.uint8(IGNORE_INDEX))


def hide_regions(gray: Array, label: Array, rng: Rng, config: SensorConfig) -> tuple[Array, Array]:
    """Overwrite one to three rectangles with one gray level each; their label is unknown."""
    if not _happens(config.region_share, rng):
        return gray, label
    gray, label = gray.copy(), label.copy()
    for _ in range(int(rng.integers(1, 4))):
        window = []
        for full in gray.shape:
            side = max(1, int(rng.uniform(0.02, 1.0) * config.region_largest * full))
            start = int(rng.integers(0, full - side + 1))
            window.append(slice(start, start + side))
        gray[tuple(window)] = F32(rng.choice([0.0, 1.0, rng.uniform()]))
        label[tuple(window)] = IGNORE_INDEX
    return gray, label


def break_pixels(gray: Array, rng: Rng, config: SensorConfig) -> Array:
    """Stick single pixels, and sometimes a row or a column, at black or white.

    Labels stay: what lies between good pixels can be told.
    """
    if not _happens(config.pixel_share, rng):
        return gray
    gray = gray.copy()
    stuck = rng.uniform(size=gray.shape) < rng.uniform(0.0, config.pixel_most)
    gray[stuck] = (rng.uniform(size=int(stuck.sum())) < 0.5).astype(F32)
    for lines in (gray, gray.T):
        if rng.uniform() < 0.3:
            lines[int(rng.integers(len(lines)))] = F32(rng.integers(2))
    return gray
