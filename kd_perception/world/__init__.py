# SPDX-License-Identifier: Apache-2.0
"""A synthetic RGB, thermal and depth world: streets, temperatures, light and cameras from a seed.

`render_frame` gives single frames, `drive_frames` consecutive ones; both are pure functions of
their arguments.
"""

from kd_perception.world.classes import CLASS_COLORS, CLASS_NAMES
from kd_perception.world.config import SensorRanges, WorldConfig
from kd_perception.world.frame import VIEWS, WorldFrame
from kd_perception.world.presets import PRESETS, preset
from kd_perception.world.render import drive_frame, drive_frames, render_frame
from kd_perception.world.splits import SPLITS, split_seed
from kd_perception.world.streets.drive import Drive

__all__ = [
    'CLASS_COLORS',
    'CLASS_NAMES',
    'PRESETS',
    'SPLITS',
    'VIEWS',
    'Drive',
    'SensorRanges',
    'WorldConfig',
    'WorldFrame',
    'drive_frame',
    'drive_frames',
    'preset',
    'render_frame',
    'split_seed',
]
