# SPDX-License-Identifier: Apache-2.0
"""A rendered frame with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kd_perception.world.scenes.shapes import Array

VIEWS: Final = ('thermal', 'rgb', 'right', 'previous', 'next', 'lidar')
"""What may be asked for; geometry and labels are always there."""


@dataclass(frozen=True)
class WorldFrame:
    """What the cameras see at one time; arrays [height, width] unless said otherwise.

    All images show the view of one camera but for `right`, `previous` and `next`, which show the
    same scene from `baseline_m` to the right, an interval earlier and an interval later (moving
    things have moved). Fields of views that were not asked for are None.

    Args:
        label: class id, uint8.
        instance: object id, 0 where there is no object, int32.
        depth_m: distance along the optical axis, 0 on sky, cut at `max_depth_m`, float32.
        sky: where the sky is seen, bool.
        glass: where glass is seen, bool.
        saliency: what draws the eye, uint8 0 to 255; imperfect on purpose.
        tags: bool [8], whether class 1 to 8 is present with more than a few pixels.
        camera_matrix: intrinsic matrix of every camera, float64 [3, 3]; pixel centers are at whole
            numbers.
        camera_pose: camera (right, down, forward) to world, float64 [4, 4].
        previous_from_camera: points of this camera's frame to the previous camera's, float64
            [4, 4].
        next_from_camera: the same for the next camera.
        baseline_m: distance of the right camera.
        time_s: time since the start of the drive; 0 for a single frame.
        thermal: raw image in centikelvin (degrees Celsius = 0.01 * raw - 273.15), uint16.
        rgb: color image, uint8 [height, width, 3].
        right: color image of the right camera.
        previous: color image an interval earlier.
        next: color image an interval later.
        lidar_m: depth of the pixels that a lidar hits, 0 elsewhere, float32.
    """

    label: Array
    instance: Array
    depth_m: Array
    sky: Array
    glass: Array
    saliency: Array
    tags: Array
    camera_matrix: Array
    camera_pose: Array
    previous_from_camera: Array
    next_from_camera: Array
    baseline_m: float
    time_s: float
    thermal: Array | None = None
    rgb: Array | None = None
    right: Array | None = None
    previous: Array | None = None
    next: Array | None = None
    lidar_m: Array | None = None

    @property
    def right_from_camera(self) -> Array:
        """Points of this camera's frame to the right camera's, float64 [4, 4]."""
        transform = np.eye(4)
        transform[0, 3] = -self.baseline_m
        return transform
