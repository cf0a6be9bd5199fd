# SPDX-License-Identifier: Apache-2.0
"""Faults of calibration and odometry, to see what a method makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def miscalibrated_lidar(
    lidar_m: Array,
    camera_matrix: Array,
    *,
    rotation_deg: Sequence[float],
    shift_m: Sequence[float],
) -> Array:
    """Lidar returns where they come to lie if the lidar's place is known wrongly.

    Each return is moved as a point of the camera's frame and projected again, to the nearest
    pixel; the closest wins where several meet, those that leave the image are lost.

    Args:
        lidar_m: depth [height, width], 0 where there is no return.
        camera_matrix: intrinsic matrix [3, 3].
        rotation_deg: axis times angle, about the camera's axes (right, down, forward).
        shift_m: added after the rotation, along these axes.

    Returns:
        Depth of the same shape and type.
    """
    rows, columns = np.nonzero(lidar_m)
    rays = np.linalg.inv(camera_matrix) @ np.stack([columns, rows, np.ones_like(rows)])
    points = rotation_matrix(rotation_deg) @ (rays * lidar_m[rows, columns])
    points = points + np.asarray(shift_m, np.float64)[:, None]
    points = points[:, points[2] > 0.0]
    depth_m = points[2]
    x, y = np.rint((camera_matrix @ (points / depth_m))[:2])
    height, width = lidar_m.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    order = np.argsort(-depth_m[inside], kind='stable')  # far first, the closest is written last
    moved = np.zeros_like(lidar_m)
    cells = (y[inside][order].astype(int), x[inside][order].astype(int))
    moved[cells] = depth_m[inside][order]
    return moved


def perturbed_pose(
    pose: Array, rng: np.random.Generator, *, rotation_deg: float, shift_share: float
) -> Array:
    """A pose with an error of odometry.

    Args:
        pose: rigid, [4, 4].
        rng: consumed.
        rotation_deg: deviation of each component of the rotation that is added.
        shift_share: deviation of each component of the shift that is added, in shares of the
            length of the pose's own.
    """
    turn, shift = rng.normal(0.0, 1.0, (2, 3))
    wrong = pose.copy()
    wrong[:3, :3] = rotation_matrix(rotation_deg * turn) @ pose[:3, :3]
    wrong[:3, 3] += shift_share * np.linalg.norm(pose[:3, 3]) * shift
    return wrong


def rotation_matrix(rotation_deg: Sequence[float] | Array) -> Array:
    """Axis times angle in degrees as float64 [3, 3]."""
    matrix: Array = cv2.Rodrigues(np.deg2rad(np.asarray(rotation_deg, np.float64)))[0]
    return matrix
