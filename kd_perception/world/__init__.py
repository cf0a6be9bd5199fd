# SPDX-License-Identifier: Apache-2.0
"""A synthetic thermal street: geometry, temperatures and a radiometric camera, from a seed."""

from kd_perception.world.classes import CLASS_COLORS, CLASS_NAMES
from kd_perception.world.config import WorldConfig
from kd_perception.world.render import WorldFrame, drive_frames, render_frame

__all__ = [
    'CLASS_COLORS',
    'CLASS_NAMES',
    'WorldConfig',
    'WorldFrame',
    'drive_frames',
    'render_frame',
]
