# SPDX-License-Identifier: Apache-2.0
"""The radiometric camera: G-buffer to raw centikelvin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.compiling import kernel
from kd_perception.world.config import Range, SensorRanges
from kd_perception.world.noise import normal_noise
from kd_perception.world.rendering.shading import GBuffer
from kd_perception.world.scenes.shapes import Array

KELVIN_OFFSET = 273.15
COUNTS_PER_K = 100.0

_FOG_GAIN = 1.5
"""Fog hides less at 10 µm than in visible light."""
_RAIN_REACH_M = 250.0


@dataclass(frozen=True)
class ThermalSensor:
    """What the camera adds to the scene.

    Args:
        blur_px: deviation of the point spread function [px].
        netd_k: temporal noise per pixel [K].
        pattern_k: fixed pattern of columns, pixels and corners [K].
        extinction_m: distance at which clear air hides 63 % of the contrast [m].
        pattern_seed: what the fixed pattern is drawn from.
    """

    blur_px: float
    netd_k: float
    pattern_k: float
    extinction_m: float
    pattern_seed: tuple[int, ...]


def draw_sensor(
    rng: np.random.Generator, width: int, ranges: SensorRanges, pattern_seed: tuple[int, ...]
) -> ThermalSensor:
    """Draw a camera between a sharp large-format core and a soft small one."""
    return ThermalSensor(
        blur_px=_log_uniform(rng, ranges.blur_share) * width,
        netd_k=_log_uniform(rng, ranges.netd_k),
        pattern_k=_log_uniform(rng, ranges.pattern_k),
        extinction_m=_log_uniform(rng, (250.0, 2000.0)),
        pattern_seed=pattern_seed,
    )


def _log_uniform(rng: np.random.Generator, ends: Range) -> float:
    return float(np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]))))


def apparent_temperature(buffer: GBuffer, climate: Climate, sensor: ThermalSensor) -> Array:
    """What a perfect radiometer at the camera reads, float32 [height, width] in °C.

    Emitted and reflected heat, the latter of sky and surroundings, through air that fog and rain
    make less clear.
    """
    reach = min(sensor.extinction_m, _FOG_GAIN * climate.visibility_m)
    if climate.rain > 0.0:
        reach = min(reach, _RAIN_REACH_M / climate.rain)
    apparent = np.empty(buffer.depth_m.shape, np.float32)
    _apparent(buffer, climate.air_c, climate.sky_c, 1.0 / reach, apparent)
    return apparent


@kernel
def _apparent(
    buffer: GBuffer, air_c: float, sky_c: float, extinction_per_m: float, apparent: Array
) -> None:
    height, width = apparent.shape
    for y in range(height):
        for x in range(width):
            own = buffer.temperature_c[y, x]
            depth = buffer.depth_m[y, x]
            if depth == np.inf:
                # The sky's apparent temperature holds the air already; fog hides it all the same.
                apparent[y, x] = air_c + np.exp(-100.0 * extinction_per_m) * (own - air_c)
                continue
            emissivity = buffer.emissivity[y, x]
            wet = buffer.wetness[y, x]
            if wet > 0.0:  # a film of water evens out and mirrors the sky at grazing view
                emissivity -= 0.12 * wet * min(depth / 40.0, 1.0)
            reflected = air_c + buffer.sky_view[y, x] * (sky_c - air_c)
            surface = reflected + emissivity * (own - reflected)
            kept = np.exp(-depth * extinction_per_m)
            apparent[y, x] = air_c + kept * (surface - air_c)


def thermal_image(apparent_c: Array, sensor: ThermalSensor, rng: np.random.Generator) -> Array:
    """What a radiometric core delivers for the apparent temperatures.

    Args:
        apparent_c: float32 [height, width] in °C.
        sensor: the camera.
        rng: stream of the temporal noise.

    Returns:
        uint16 [height, width] in centikelvin.
    """
    seen: Array = cv2.GaussianBlur(apparent_c, (0, 0), max(sensor.blur_px, 0.15))
    seen += fixed_pattern(seen.shape, sensor)
    seen += np.float32(sensor.netd_k) * normal_noise(seen.shape, rng)
    counts = (seen + np.float32(KELVIN_OFFSET)) * np.float32(COUNTS_PER_K) + np.float32(0.5)
    raw: Array = np.clip(counts, 0, 65535).astype(np.uint16)
    return raw


@lru_cache(maxsize=2)
def fixed_pattern(shape: tuple[int, ...], sensor: ThermalSensor) -> Array:
    """The pattern that stays from frame to frame, float32 [height, width] in kelvin, read-only."""
    rng = np.random.default_rng(list(sensor.pattern_seed))
    height, width = shape
    columns = rng.standard_normal((1, width), dtype=np.float32)
    pixels = normal_noise((height, width), rng)
    coarse = rng.standard_normal((4, 5), dtype=np.float32)
    shading = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    pattern = columns + np.float32(0.6) * pixels + np.float32(2.0) * shading
    scaled: Array = np.float32(sensor.pattern_k) * pattern
    scaled.setflags(write=False)
    return scaled
