# SPDX-License-Identifier: Apache-2.0
"""Frames to time and to compare on."""

from __future__ import annotations

import numpy as np

from kd_perception.bundle import Student
from kd_perception.frames import Image
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.splits import split_seed


def street_frames(student: Student, count: int) -> list[Image]:
    """Rendered frames never seen in training, of the size that the student expects.

    Returns:
        uint16 centikelvin [height, width] each.
    """
    height, width = student.spec.image_size
    world = WorldConfig(height=height, width=width)
    seed = split_seed('test', 0)
    frames = (render_frame(world, seed, index, ('thermal',)) for index in range(count))
    return [np.asarray(frame.thermal) for frame in frames]
