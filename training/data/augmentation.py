# SPDX-License-Identifier: Apache-2.0
"""From a radiometric frame to what some other thermal camera might have shown of that scene.

Three steps: another view (scale, crop, flip), another scene (temperatures of objects, clutter that
is no object), another camera (resolution, gain window, equalization, sharpening, noise). The last
step before the network is the robot's own gain control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world.classes import CAR, PERSON
from training.data.cameras import camera_image
from training.data.clutter import add_clutter

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32

_COUNTS_PER_K = 100.0
_CLASSES = 9


@dataclass(frozen=True)
class AugmentationConfig:
    """How far training frames are taken from what the world renders.

    Args:
        height: rows of a crop, a multiple of 32.
        width: columns of a crop, a multiple of 32.
        scale_low: smallest zoom of the rendered frame.
        scale_high: largest zoom.
        focus_share: how often a crop is laid around a thing of a class drawn with equal odds.
        coarsest: a small camera's frame is scaled up by at most this, >= 1.
        coarse_share: how often a frame comes from a smaller camera.
        raw_share: how often the frame stays 16-bit radiometric; else it passes a display AGC.
        scene_share: how often temperatures of the scene are changed.
        clutter_share: how often shapes that are no object are drawn behind the objects.
    """

    height: int = 256
    width: int = 320
    scale_low: float = 0.5
    scale_high: float = 2.0
    focus_share: float = 0.5
    coarsest: float = 4.0
    coarse_share: float = 0.45
    raw_share: float = 0.45
    scene_share: float = 0.7
    clutter_share: float = 0.6

    def __post_init__(self) -> None:
        if self.height % 32 or self.width % 32 or min(self.height, self.width) < 32:
            raise ConfigError(
                f'crops must be multiples of 32, got {self.height}x{self.width} pixels'
            )
        if not 0.0 < self.scale_low <= self.scale_high or self.coarsest < 1.0:
            raise ConfigError(
                'scales must be 0 < scale_low <= scale_high and coarsest >= 1, got '
                f'{self.scale_low}, {self.scale_high} and {self.coarsest}'
            )


def augment(
    thermal: Array, label: Array, rng: Rng, config: AugmentationConfig
) -> tuple[Array, Array]:
    """One training sample.

    Args:
        thermal: uint16 [height, width] in centikelvin.
        label: uint8, same shape.
        rng: consumed.
        config: how much.

    Returns:
        Network input float32 [crop height, crop width] in 0 to 1, and its label (uint8, 255 where
        nothing is known).
    """
    kelvin, target = random_view(thermal, label, rng, config)
    if rng.uniform() < config.scene_share:
        kelvin = change_objects(kelvin, target, rng)
        kelvin = change_background(kelvin, rng)
    if rng.uniform() < config.clutter_share:
        kelvin = add_clutter(kelvin, target, rng)
    coarse = config.coarsest ** rng.uniform() if rng.uniform() < config.coarse_share else 1.0
    gray = camera_image(kelvin, rng, coarse=coarse, raw=rng.uniform() < config.raw_share)
    return hide_corners(gray, target, rng)


def random_view(
    thermal: Array, label: Array, rng: Rng, config: AugmentationConfig
) -> tuple[Array, Array]:
    """Zoom, stretch, rotate, flip and crop; labels are unknown outside the frame.

    Returns:
        Temperatures in kelvin above absolute zero (float32) and labels, both of crop size.
    """
    height, width = config.height, config.width
    scale = float(np.exp(rng.uniform(np.log(config.scale_low), np.log(config.scale_high))))
    stretch, angle = np.exp(rng.normal(0.0, 0.06)), np.deg2rad(rng.normal(0.0, 2.5))
    flip = -1.0 if rng.uniform() < 0.5 else 1.0
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[flip * stretch * cosine, -sine], [flip * stretch * sine, cosine]])
    focus = _focus(label, rng) if rng.uniform() < config.focus_share else None
    center = _crop_center(rng, (width / scale, height / scale), label.shape, focus)
    shift = np.array([width / 2, height / 2]) - linear @ center
    matrix, size = np.column_stack([linear, shift]), (width, height)
    kelvin: Array = thermal.astype(F32) / F32(_COUNTS_PER_K)
    if scale < 0.8:
        kelvin = cv2.GaussianBlur(kelvin, (0, 0), 0.4 / scale)
    view = cv2.warpAffine(
        kelvin, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    target = cv2.warpAffine(
        label, matrix, size, flags=cv2.INTER_NEAREST, borderValue=(IGNORE_INDEX,)
    )
    return view, target


def _focus(label: Array, rng: Rng) -> tuple[float, float] | None:
    """A place (x, y) on a thing of some class, None where there is none."""
    coarse = label[::8, ::8]
    present = np.unique(coarse[coarse > 0])
    if not present.size:
        return None
    rows, columns = np.nonzero(coarse == rng.choice(present))
    k = int(rng.integers(len(rows)))
    return 8.0 * columns[k], 8.0 * rows[k]


def _crop_center(
    rng: Rng,
    extent: tuple[float, float],
    shape: tuple[int, ...],
    focus: tuple[float, float] | None,
) -> list[float]:
    """Where to look (x, y): inside the frame, about the focus if there is one."""
    center = []
    for axis, (size, full) in enumerate(zip(extent, shape[::-1], strict=True)):
        low, high = sorted((size / 2, full - size / 2))
        drawn = rng.uniform(low, high)
        if focus is not None:
            drawn = min(max(focus[axis] + rng.uniform(-0.4, 0.4) * size, low), high)
        center.append(float(drawn))
    return center


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


def hide_corners(gray: Array, label: Array, rng: Rng) -> tuple[Array, Array]:
    """Blacken corners, as registration to another camera does; their label is unknown."""
    if rng.uniform() > 0.1:
        return gray, label
    height, width = gray.shape
    kept = np.ones(gray.shape, np.uint8)
    for x, y in ((0, 0), (width, 0), (0, height), (width, height)):
        if rng.uniform() < 0.5:
            inward_x = x + (1 if x == 0 else -1) * int(rng.uniform(5, 60))
            inward_y = y + (1 if y == 0 else -1) * int(rng.uniform(5, 60))
            cv2.fillPoly(kept, [np.array([(x, y), (inward_x, y), (x, inward_y)], np.int32)], 0)
    return gray * kept, np.where(kept > 0, label, np.uint8(IGNORE_INDEX))
