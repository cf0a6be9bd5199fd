# SPDX-License-Identifier: Apache-2.0
"""Frames with x forward, y left and z up, as robots, lidars and inertial units have them."""

from __future__ import annotations

from typing import Final

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
    """Return a rotation matrix [3, 3] as the unit quaternion (x, y, z, w) with w >= 0.

    Unlike `cv2.Rodrigues`, exact for small angles, too.

    Reference:
        I. Y. Bar-Itzhack, "New Method for Extracting the Quaternion from a Rotation Matrix",
        Journal of Guidance, Control, and Dynamics 23(6), 2000.
    """
    r = np.asarray(rotation, np.float64)
    symmetric = np.empty((4, 4))
    symmetric[:3, :3] = r + r.T - np.trace(r) * np.eye(3)
    symmetric[3, :3] = symmetric[:3, 3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    symmetric[3, 3] = np.trace(r)
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1].tolist()  # of the largest eigenvalue
    return (x, y, z, w) if w >= 0 else (-x, -y, -z, -w)


def roll_pitch_yaw(rotation: Array) -> tuple[float, float, float]:
    """Return the angles [rad] of R = Rz(yaw) Ry(pitch) Rx(roll), pitch in -pi/2 to pi/2."""
    roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    pitch = np.arctan2(-rotation[2, 0], np.hypot(rotation[2, 1], rotation[2, 2]))
    yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(roll), float(pitch), float(yaw)
