# SPDX-License-Identifier: Apache-2.0
"""What another thermal camera, and then the robot's gain control, would make of a scene."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.preprocessing import AgcConfig, agc_limits, equalization_curve, normalize
from training.data.augmentation.sensor import (
    SensorConfig,
    add_column_pattern,
    add_drift,
    add_row_pattern,
    add_vignetting,
)

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32


def camera_image(
    kelvin: Array, rng: Rng, *, coarse: float, raw: bool, sensor: SensorConfig | None = None
) -> Array:
    """What the robot's preprocessing makes of another camera's frame.

    Args:
        kelvin: temperatures of the scene, float32.
        rng: consumed.
        coarse: how much larger the pixels of the camera are; scaled up again at the end.
        raw: the camera delivers 16-bit radiometric frames; else 8 bit after its own AGC.
        sensor: faults of the camera, none by default.

    Returns:
        float32 of the same shape, 0 to 1.
    """
    height, width = kelvin.shape
    if coarse > 1.05:
        size = (max(8, round(width / coarse)), max(8, round(height / coarse)))
        kelvin = cv2.resize(kelvin, size, interpolation=cv2.INTER_AREA)
    if rng.uniform() < 0.35:
        kelvin = cv2.GaussianBlur(kelvin, (0, 0), rng.uniform(0.3, 1.4))
    if sensor is not None:
        for fault in (add_vignetting, add_drift, add_column_pattern, add_row_pattern):
            kelvin = fault(kelvin, rng, sensor)
    frame = _raw_frame(kelvin, rng) if raw else _display_frame(kelvin, rng)
    jitter = AgcConfig(
        low_percentile=rng.uniform(0.2, 3.0), high_percentile=100.0 - rng.uniform(0.2, 3.0)
    )
    agc = AgcConfig() if rng.uniform() < 0.5 else jitter
    gray: Array = normalize(frame, *agc_limits(frame, agc))
    if gray.shape != (height, width):
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_LINEAR)
    return gray


def _noise(shape: tuple[int, ...], rng: Rng, pixel: float, column: float, row: float) -> Array:
    height, width = shape
    total = F32(abs(rng.normal(0.0, pixel))) * rng.standard_normal((height, width), dtype=F32)
    if rng.uniform() < 0.5:
        total += F32(abs(rng.normal(0.0, column))) * rng.standard_normal((1, width), dtype=F32)
    if rng.uniform() < 0.15:
        total += F32(abs(rng.normal(0.0, row))) * rng.standard_normal((height, 1), dtype=F32)
    return total


def _raw_frame(kelvin: Array, rng: Rng) -> Array:
    counts_per_k = F32(np.exp(rng.uniform(np.log(15.0), np.log(150.0))))
    noisy = kelvin + _noise(kelvin.shape, rng, 0.12, 0.08, 0.06)
    counts = (noisy - kelvin.mean()) * counts_per_k + F32(rng.uniform(8000.0, 30000.0))
    raw: Array = np.clip(counts, 0.0, 65535.0).astype(np.uint16)
    return raw


def _display_frame(kelvin: Array, rng: Rng) -> Array:
    gray = _display_window(kelvin, rng)
    if rng.uniform() < 0.25:
        curve = equalization_curve(gray, rng.uniform(1.5, 6.0))
        equalized = curve[(gray * F32(255.0)).astype(np.uint8)]
        gray = gray + F32(rng.uniform(0.2, 0.9)) * (equalized - gray)
    gray = gray ** F32(np.exp(rng.uniform(-0.6, 0.6)))
    if rng.uniform() < 0.3:
        gray = F32(0.5) + (gray - F32(0.5)) * F32(rng.uniform(0.5, 1.3))
    if rng.uniform() < 0.4:
        smooth = cv2.GaussianBlur(gray, (0, 0), rng.uniform(0.8, 6.0))
        gray = gray + F32(rng.uniform(0.2, 1.2)) * (gray - smooth)
    gray = gray + _noise(gray.shape, rng, 0.018, 0.012, 0.01)
    if rng.uniform() < 0.4:
        y = np.linspace(-1.0, 1.0, gray.shape[0], dtype=F32)[:, None]
        x = np.linspace(-1.0, 1.0, gray.shape[1], dtype=F32)[None]
        gray = gray + F32(rng.normal(0.0, 0.12)) * (x * x + y * y) / F32(2.0)
    return np.round(np.clip(gray, 0.0, 1.0) * F32(255.0)).astype(np.uint8)


def _display_window(kelvin: Array, rng: Rng) -> Array:
    """The camera's own gain: over the frame or a part, often with the cold sky cut off."""
    height, width = kelvin.shape
    part = kelvin
    if rng.uniform() < 0.3:
        y, x = int(rng.uniform(0, height * 0.4)), int(rng.uniform(0, width * 0.4))
        part = kelvin[y : y + int(height * 0.6), x : x + int(width * 0.6)]
    if rng.uniform() < 0.55:
        low_share, high_share = rng.uniform(5.0, 40.0), rng.uniform(98.0, 100.0)
        margin = (rng.uniform(0.0, 5.0), rng.uniform(0.0, 2.0))
    else:
        low_share, high_share = rng.uniform(0.0, 8.0), 100.0 - rng.uniform(0.0, 4.0)
        margin = (0.0, 0.0)
    low, high = np.percentile(part[::3, ::3], (low_share, high_share))
    low, high = low - margin[0], high + margin[1]
    return normalize(kelvin, float(low), float(max(high, low + 1.5)))
