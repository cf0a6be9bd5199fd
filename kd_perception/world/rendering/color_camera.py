# SPDX-License-Identifier: Apache-2.0
"""The color camera: radiance to an 8-bit image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.compiling import kernel
from kd_perception.world.noise import normal_noise
from kd_perception.world.rendering.light import exposure
from kd_perception.world.scenes.shapes import Array

_BLOOM_CELL = 8
_CLIP = 12.0
_GAMMA_STEPS = 4096


@dataclass(frozen=True)
class ColorSensor:
    """What the color camera adds to the scene.

    Args:
        exposure: gain on radiance; 1 brings a white sheet in full sun to white.
        blur_px: deviation of the point spread function [px].
        read_noise: deviation in the dark, as a share of white.
        shot_noise: deviation at white, as a share of white.
        bloom: share of light beyond white that spills over the image.
        veil: light that a low sun or lamps spread over the whole image, as a share of white.
        vignetting: how much darker the corners are, 0 to 1.
    """

    exposure: float
    blur_px: float
    read_noise: float
    shot_noise: float
    bloom: float
    veil: float
    vignetting: float


def draw_color_sensor(rng: np.random.Generator, width: int, climate: Climate) -> ColorSensor:
    """Draw a camera; by night its gain lifts the noise with the picture."""
    gain = exposure(climate, rng)
    noise = np.exp(rng.uniform(np.log(0.0015), np.log(0.006)))
    strain = float(np.clip(np.sqrt(gain / 4.0), 1.0, 3.0))
    return ColorSensor(
        exposure=gain,
        blur_px=float(rng.uniform(0.0004, 0.0014)) * width,
        read_noise=float(noise * strain),
        shot_noise=float(noise * strain * 2.0),
        bloom=float(rng.uniform(0.02, 0.08)) * (3.0 if climate.glare else 1.0),
        veil=float(rng.uniform(0.2, 1.0)) * _veil(climate),
        vignetting=float(rng.uniform(0.0, 0.3)),
    )


def _veil(climate: Climate) -> float:
    """How much light the worst lens scatters when it is dazzled, as a share of white."""
    if not climate.glare:
        return 0.0
    return 0.05 if climate.night else 0.25 * climate.sun.light


def color_image(
    radiance: Array, climate: Climate, sensor: ColorSensor, rng: np.random.Generator
) -> Array:
    """What a color camera delivers, uint8 [height, width, 3]; the radiance is used up."""
    radiance *= np.float32(sensor.exposure)
    radiance += _spilled(radiance, sensor)
    if climate.rain > 0.0:
        radiance += _rain(radiance, climate.rain, rng)[..., None]
    if sensor.blur_px > 0.25:
        radiance = cv2.GaussianBlur(radiance, (0, 0), sensor.blur_px)
    noise = normal_noise(radiance.shape, rng)
    image = np.empty(radiance.shape, np.uint8)
    _develop(radiance, noise, sensor.read_noise, sensor.shot_noise, sensor.vignetting,
             _gamma_curve(), image)  # fmt: skip
    return image


def _spilled(radiance: Array, sensor: ColorSensor) -> Array:
    """Light beyond white spills over its surroundings, and a little over everything."""
    height, width, _ = radiance.shape
    size = (max(width // _BLOOM_CELL, 2), max(height // _BLOOM_CELL, 2))
    over = np.clip(cv2.resize(radiance, size, interpolation=cv2.INTER_AREA) - 1.0, 0.0, _CLIP)
    near = cv2.GaussianBlur(over, (0, 0), 0.012 * size[0])
    far = cv2.GaussianBlur(over, (0, 0), 0.09 * size[0])
    spilled = np.float32(sensor.bloom) * (near + 2.0 * far)
    # Glass and dust before the lens scatter what dazzles, in all views alike.
    spilled += np.float32(sensor.veil)
    grown: Array = cv2.resize(spilled, (width, height), interpolation=cv2.INTER_LINEAR)
    return grown


def _rain(radiance: Array, strength: float, rng: np.random.Generator) -> Array:
    """Bright streaks of drops, float32 [height, width]."""
    height, width, _ = radiance.shape
    streaks = np.zeros((height, width), np.uint8)
    count = int(strength * 0.0012 * height * width)
    tops = rng.uniform(0.0, (width, height), (count, 2))
    lengths = rng.uniform(0.01, 0.06, count) * height
    slant = rng.normal(0.0, 0.12)
    ends = tops + np.stack([slant * lengths, lengths], 1)
    levels = rng.integers(20, 110, count)
    for top, end, level in zip(tops.astype(int), ends.astype(int), levels.tolist(), strict=True):
        cv2.line(streaks, tuple(top.tolist()), tuple(end.tolist()), level, 1, cv2.LINE_AA)
    brightness = float(np.mean(radiance)) + 0.05
    scaled: Array = streaks.astype(np.float32) * np.float32(brightness / 255.0)
    return scaled


def _gamma_curve() -> Array:
    """Display values 0 to 255 of linear light 0 to 1."""
    linear = np.linspace(0.0, 1.0, _GAMMA_STEPS)
    return (255.0 * linear ** (1.0 / 2.2)).astype(np.float32)


@kernel
def _develop(
    radiance: Array, noise: Array, read: float, shot: float, vignetting: float, curve: Array,
    image: Array,
) -> None:  # fmt: skip
    """Vignetting, noise, a soft shoulder and the display curve."""
    height, width, _ = radiance.shape
    steps = len(curve) - 1
    for y in range(height):
        v = (2.0 * y / height - 1.0) ** 2
        for x in range(width):
            shade = 1.0 - vignetting * 0.5 * (v + (2.0 * x / width - 1.0) ** 2)
            for i in range(3):
                value = max(radiance[y, x, i] * shade, 0.0)
                value += noise[y, x, i] * (read + shot * np.sqrt(min(value, 1.0)))
                if value > 0.8:  # the shoulder keeps some drawing in what is too bright
                    value = 0.8 + 0.2 * (1.0 - np.exp(-(value - 0.8) / 0.2))
                place = min(max(value, 0.0), 1.0) * steps
                image[y, x, i] = np.uint8(curve[int(place)] + 0.5)
