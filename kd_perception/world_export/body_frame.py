# SPDX-License-Identifier: Apache-2.0
"""Frames with x forward, y left and z up, as robots, lidars and inertial units have them."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from kd_perception.world_export.pictures import Array

BODY_FROM_OPTICAL: Final = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rotation from (right, down, forward) to (forward, left, up)."""


def body_pose(pose: Array) -> Array:
    """Turn the pose of a camera in the world into that of a body at the same place.

    Args:
        pose: Camera to world, both (right, down, forward), float [4, 4].

    Returns:
        Body to map, both (forward, left, up), float64 [4, 4].
    """
    turned = np.eye(4)
    turned[:3, :3] = BODY_FROM_OPTICAL @ pose[:3, :3] @ BODY_FROM_OPTICAL.T
    turned[:3, 3] = BODY_FROM_OPTICAL @ pose[:3, 3]
    return turned


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """Return a rotation matrix [3, 3] as the unit quaternion (x, y, z, w) with w >= 0."""
    vector = cv2.Rodrigues(np.asarray(rotation, np.float64))[0].ravel()
    angle = float(np.linalg.norm(vector))
    scale = np.sin(angle / 2) / angle if angle > 0 else 0.5
    x, y, z = (float(value) for value in vector * scale)
    return x, y, z, float(np.cos(angle / 2))


def roll_pitch_yaw(rotation: Array) -> tuple[float, float, float]:
    """Return the angles [rad] of R = Rz(yaw) Ry(pitch) Rx(roll), pitch in -pi/2 to pi/2."""
    roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    pitch = np.arctan2(-rotation[2, 0], np.hypot(rotation[2, 1], rotation[2, 2]))
    yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(roll), float(pitch), float(yaw)
