# SPDX-License-Identifier: Apache-2.0
"""Frames to time and to compare on, and network inputs made of them as it is written first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kd_perception.bundle import Student
from kd_perception.frames import Float32Image, Image
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.splits import split_seed


def street_frames(student: Student, count: int) -> list[Image]:
    """Rendered frames never seen in training, of the size and the camera that the student expects.

    Returns:
        uint16 centikelvin [height, width] each, or uint8 RGB [height, width, 3].
    """
    height, width = student.spec.image_size
    world = WorldConfig(height=height, width=width)
    seed = split_seed('test', 0)
    field = 'rgb' if _sees_color(student) else 'thermal'
    frames = (render_frame(world, seed, index, (field,)) for index in range(count))
    return [np.asarray(getattr(frame, field)) for frame in frames]


def ramp_frame(student: Student) -> Image:
    """A frame of the same kind that costs nothing to make."""
    size = student.spec.image_size
    shape, kind = ((*size, 3), np.uint8) if _sees_color(student) else (size, np.uint16)
    return np.arange(np.prod(shape)).astype(kind).reshape(shape)


def network_input_of(student: Student) -> Callable[[Image], Float32Image]:
    """From a frame to the network input as it is written first, exact and in whole images."""
    return _normalized_color(student) if _sees_color(student) else percentile_gray


def percentile_gray(image: Image) -> Float32Image:
    """Gain control as it is written first: exact percentiles 1 and 99 of every frame."""
    low, high = np.percentile(image, (1, 99))
    span = max(float(high - low), 1.0)
    gray = (image.astype(np.float32) - np.float32(low)) / np.float32(span)
    return np.ascontiguousarray(np.clip(gray, 0.0, 1.0))[None, None]


def _normalized_color(student: Student) -> Callable[[Image], Float32Image]:
    mean = np.array(student.spec.input.mean or (0.0,) * 3, np.float32)
    deviation = np.array(student.spec.input.standard_deviation or (1.0,) * 3, np.float32)

    def normalized(image: Image) -> Float32Image:
        color = (image.astype(np.float32) / np.float32(255.0) - mean) / deviation
        return np.ascontiguousarray(color.transpose(2, 0, 1))[None]

    return normalized


def _sees_color(student: Student) -> bool:
    return student.spec.input.modality == 'rgb'
