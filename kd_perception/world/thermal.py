# SPDX-License-Identifier: Apache-2.0
"""The radiometric camera: G-buffer to raw centikelvin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.world.climate import Climate
from kd_perception.world.geometry import GBuffer

Array = npt.NDArray[Any]

KELVIN_OFFSET = 273.15
COUNTS_PER_K = 100.0


@dataclass(frozen=True)
class ThermalSensor:
    """What the camera adds to the scene.

    Args:
        blur_px: deviation of the point spread function [px].
        netd_k: temporal noise per pixel [K].
        pattern_k: fixed pattern of columns, pixels and corners [K].
        extinction_m: distance at which the air hides 63 % of the contrast [m].
        pattern_seed: what the fixed pattern is drawn from.
    """

    blur_px: float
    netd_k: float
    pattern_k: float
    extinction_m: float
    pattern_seed: tuple[int, ...]


def draw_sensor(
    rng: np.random.Generator, width: int, pattern_seed: tuple[int, ...]
) -> ThermalSensor:
    """Draw a camera between a sharp large-format core and a soft small one."""
    return ThermalSensor(
        blur_px=float(np.exp(rng.uniform(np.log(0.0007), np.log(0.003)))) * width,
        netd_k=float(np.exp(rng.uniform(np.log(0.02), np.log(0.15)))),
        pattern_k=float(np.exp(rng.uniform(np.log(0.01), np.log(0.15)))),
        extinction_m=float(np.exp(rng.uniform(np.log(250.0), np.log(2000.0)))),
        pattern_seed=pattern_seed,
    )


def thermal_image(
    buffer: GBuffer, climate: Climate, sensor: ThermalSensor, rng: np.random.Generator
) -> Array:
    """What a radiometric core delivers for the scene in the buffer.

    Args:
        buffer: what every pixel sees.
        climate: air and sky, for reflection and the path through the air.
        sensor: the camera.
        rng: stream of the temporal noise.

    Returns:
        uint16 [height, width] in centikelvin.
    """
    reflected_c = climate.air_c + buffer.sky_view * np.float32(climate.sky_c - climate.air_c)
    apparent = reflected_c + buffer.emissivity * (buffer.temperature_c - reflected_c)
    path = np.where(np.isfinite(buffer.depth_m), buffer.depth_m, np.float32(0.0))
    kept = np.exp(path * np.float32(-1.0 / sensor.extinction_m))
    apparent = np.float32(climate.air_c) + kept * (apparent - np.float32(climate.air_c))
    apparent = cv2.GaussianBlur(apparent, (0, 0), max(sensor.blur_px, 0.15))
    apparent += fixed_pattern(apparent.shape, sensor)
    apparent += np.float32(sensor.netd_k) * rng.standard_normal(apparent.shape, dtype=np.float32)
    counts = (apparent + np.float32(KELVIN_OFFSET)) * np.float32(COUNTS_PER_K) + np.float32(0.5)
    raw: Array = np.clip(counts, 0, 65535).astype(np.uint16)
    return raw


@lru_cache(maxsize=2)
def fixed_pattern(shape: tuple[int, ...], sensor: ThermalSensor) -> Array:
    """The pattern that stays from frame to frame, float32 [height, width] in kelvin."""
    rng = np.random.default_rng(list(sensor.pattern_seed))
    height, width = shape
    columns = rng.standard_normal((1, width), dtype=np.float32)
    pixels = rng.standard_normal((height, width), dtype=np.float32)
    coarse = rng.standard_normal((4, 5), dtype=np.float32)
    shading = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    pattern = columns + np.float32(0.6) * pixels + np.float32(2.0) * shading
    scaled: Array = np.float32(sensor.pattern_k) * pattern
    return scaled
