# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a rendered frame a beam of the world's lidar can hit at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.world.rendering.lidar import BOTTOM_RAD, TOP_RAD

Array = npt.NDArray[Any]


def lidar_footprint(camera_matrix: Array, camera_pose: Array, size: Sequence[int]) -> Array:
    """Whether the ray of a pixel lies between the lowest and highest beam, or half a pixel off.

    By geometry alone: between beams there are pixels without a return, and glass and sky return
    none, so that lidar images cannot tell.

    Args:
        camera_matrix: intrinsic matrix [3, 3]; pixel centers are at whole numbers.
        camera_pose: camera (right, down, forward) to world (down is +y), [4, 4].
        size: (height, width).

    Returns:
        bool [height, width].
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    rays = camera_pose[:3, :3] @ np.linalg.inv(camera_matrix) @ pixels
    elevation_rad = np.arcsin(-rays[1] / np.linalg.norm(rays, axis=0))
    half_pixel_rad = 0.5 / abs(camera_matrix[0, 0])
    inside: Array = (elevation_rad <= TOP_RAD + half_pixel_rad) & (
        elevation_rad >= BOTTOM_RAD - half_pixel_rad
    )
    return inside.reshape(height, width)
