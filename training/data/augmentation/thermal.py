# SPDX-License-Identifier: Apache-2.0
"""From a frame to what some other thermal camera might have shown of that scene.

Three steps: another view (scale, crop, flip), another scene (temperatures of objects, clutter that
is no object), another camera (resolution, gain window, equalization, sharpening, noise, faults).
The last step before the network is the robot's own gain control. A color image of the same view
goes through the same first step and then through changes of its own.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.world.classes import CAR, PERSON
from training.data.augmentation.cameras import camera_image
from training.data.augmentation.clutter import add_clutter
from training.data.augmentation.config import AugmentationConfig
from training.data.augmentation.joint import augment_sample
from training.data.augmentation.photometric import augment_rgb
from training.data.augmentation.sample import Sample
from training.data.augmentation.sensor import (
    break_pixels,
    hide_corners,
    hide_regions,
    invert_polarity,
    weaken_contrast,
)

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32

GRAY_SPAN_K = 25.0
"""What the 256 gray levels of a camera's own gain stand for; streets span 10 to 50 K."""

_COUNTS_PER_K = 100.0
_CLASSES = 9


def augment(
    thermal: Array, label: Array, rng: Rng, config: AugmentationConfig
) -> tuple[Array, Array]:
    """One training sample.

    Args:
        thermal: uint16 [height, width] in centikelvin, or uint8 after a camera's gain.
        label: uint8, same shape.
        rng: consumed.
        config: how much.

    Returns:
        Network input float32 [crop height, crop width] in 0 to 1, and its label (uint8, 255 where
        nothing is known).
    """
    sample = Sample(thermal=kelvin_from_thermal(thermal), label=label)
    view = augment_sample(sample, rng, config.view)
    return _another_camera(view.thermal, view.label, rng, config)


def augment_pair(
    thermal: Array, rgb: Array, label: Array, rng: Rng, config: AugmentationConfig
) -> tuple[Array, Array, Array]:
    """One training sample of a thermal and a color image of the same view.

    The thermal image and the label are those that `augment` makes of the same stream.

    Args:
        thermal: as in `augment`.
        rgb: uint8 [height, width, 3].
        label: uint8 [height, width].
        rng: consumed.
        config: how much.

    Returns:
        Thermal image float32 [crop height, crop width] and color image float32 [3, crop height,
        crop width], both 0 to 1, and their label.

    Raises:
        ShapeError: images of different sizes, or a thermal image of another type.
    """
    sample = Sample(thermal=kelvin_from_thermal(thermal), rgb=rgb, label=label)
    view = augment_sample(sample, rng, config.view)
    gray, target = _another_camera(view.thermal, view.label, rng, config)
    color = augment_rgb(view.rgb.astype(F32) / F32(255.0), rng, config.rgb)
    return gray, np.ascontiguousarray(color.transpose(2, 0, 1)), target


def kelvin_from_thermal(thermal: Array) -> Array:
    """Temperatures of a thermal image, float32.

    Radiometric frames (uint16) are in centikelvin. Gray levels after a camera's gain (uint8) have
    lost their scale: a window of `GRAY_SPAN_K` about 10 degrees Celsius stands for it, so that
    changes in kelvin mean about the same in both.

    Raises:
        ShapeError: of another type.
    """
    if thermal.dtype == np.uint16:
        return thermal.astype(F32) / F32(_COUNTS_PER_K)
    if thermal.dtype == np.uint8:
        low_k = F32(283.15 - GRAY_SPAN_K / 2)
        return low_k + thermal.astype(F32) * F32(GRAY_SPAN_K / 255.0)
    raise ShapeError(f'a thermal image must be uint8 or uint16, received {thermal.dtype}')


def _another_camera(
    kelvin: Array, target: Array, rng: Rng, config: AugmentationConfig
) -> tuple[Array, Array]:
    """Change the scene, then look at it through another camera and the robot's gain control."""
    if rng.uniform() < config.scene_share:
        kelvin = change_objects(kelvin, target, rng)
        kelvin = change_background(kelvin, rng)
    if rng.uniform() < config.clutter_share:
        kelvin = add_clutter(kelvin, target, rng)
    kelvin = weaken_contrast(kelvin, rng, config.sensor)
    kelvin = invert_polarity(kelvin, rng, config.sensor)
    coarse = config.coarsest ** rng.uniform() if rng.uniform() < config.coarse_share else 1.0
    raw = rng.uniform() < config.raw_share
    gray = camera_image(kelvin, rng, coarse=coarse, raw=raw, sensor=config.sensor)
    gray, target = hide_corners(gray, target, rng, config.sensor)
    return hide_regions(break_pixels(gray, rng, config.sensor), target, rng, config.sensor)


def change_objects(kelvin: Array, label: Array, rng: Rng) -> Array:
    """Shift, invert or fade the heat of classes: cars most, cold things and persons a little."""
    for class_id in range(1, _CLASSES):
        member = label == class_id
        if not member.any() or rng.uniform() < 0.5:
            continue
        soft = cv2.GaussianBlur(member.astype(F32), (0, 0), 0.8)
        mean = F32(kelvin[member].mean())
        gain = F32(rng.choice([-1.0, 0.4, 1.0, 1.5]) if class_id == CAR else 1.0)
        deviation = {CAR: 2.5, PERSON: 2.0}.get(class_id, 1.0)
        shift = F32(rng.normal(0.0, deviation))
        kelvin = kelvin + soft * (mean + gain * (kelvin - mean) + shift - kelvin)
    return kelvin


def change_background(kelvin: Array, rng: Rng) -> Array:
    """Add slow variations and a vertical gradient: drifting cores, wet ground, warm houses."""
    height, width = kelvin.shape
    if rng.uniform() < 0.5:
        coarse = rng.standard_normal((3, 4), dtype=F32) * F32(abs(rng.normal(0.0, 1.5)))
        kelvin = kelvin + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.uniform() < 0.3:
        slope = np.linspace(-1.0, 1.0, height, dtype=F32)[:, None]
        kelvin = kelvin + slope * F32(rng.normal(0.0, 3.0))
    return kelvin
