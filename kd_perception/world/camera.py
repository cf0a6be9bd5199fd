# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera: rays out of it, boxes into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.world.shapes import Directions

Array = npt.NDArray[Any]

NEAR_M = 0.3
"""Nothing closer than this is drawn."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Args:
        image_size: (height, width) in pixels.
        focal_px: focal length, the same along both axes.
        position: in the world [m].
        rotation: float [3, 3], camera (right, down, forward) to world.
    """

    image_size: tuple[int, int]
    focal_px: float
    position: Array
    rotation: Array

    @property
    def matrix(self) -> Array:
        """Intrinsic matrix, float64 [3, 3]; pixel centers are at whole numbers."""
        height, width = self.image_size
        f = self.focal_px
        return np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1.0]])

    def rays(self) -> Directions:
        """World directions of all pixels; their length makes the ray distance the depth."""
        matrix, (height, width) = self.matrix, self.image_size
        x = ((np.arange(width) - matrix[0, 2]) / self.focal_px).astype(np.float32)[None]
        y = ((np.arange(height) - matrix[1, 2]) / self.focal_px).astype(np.float32)[:, None]
        r = self.rotation.astype(np.float32)
        dx, dy, dz = (r[i, 0] * x + r[i, 1] * y + r[i, 2] for i in range(3))
        return dx, dy, dz

    def windows(self, corners: Array) -> tuple[Array, list[tuple[slice, slice] | None]]:
        """The image rectangles that hold boxes.

        Args:
            corners: [boxes, 8, 3] in the world.

        Returns:
            The depth of the nearest corner of every box [m], and its rectangle (rows, columns),
            None where the camera does not see the box.
        """
        seen = (corners - self.position) @ self.rotation
        nearest_m, farthest_m = seen[..., 2].min(axis=1), seen[..., 2].max(axis=1)
        ahead = np.nonzero(nearest_m >= NEAR_M)[0]
        across = np.nonzero((nearest_m < NEAR_M) & (farthest_m >= NEAR_M))[0]
        first = np.zeros((len(corners), 2), int)
        last = np.zeros((len(corners), 2), int)
        first[ahead], last[ahead] = self._extent(seen[ahead])
        for k in across:
            first[k], last[k] = self._extent(_clipped(seen[k]))
        visible: Array = np.all(last > first, axis=1)
        return nearest_m, [
            (slice(y0, y1), slice(x0, x1)) if shown else None
            for (x0, y0), (x1, y1), shown in zip(
                first.tolist(), last.tolist(), visible.tolist(), strict=True
            )
        ]

    def _extent(self, seen: Array) -> tuple[Array, Array]:
        """First and last + 1 (column, row) of points [..., points, 3] before the camera."""
        pixels = seen[..., :2] / seen[..., 2:] * self.focal_px + self.matrix[:2, 2]
        limit = np.array(self.image_size)[::-1]
        first = np.clip(np.floor(pixels.min(axis=-2)), 0, limit).astype(int)
        last = np.clip(np.ceil(pixels.max(axis=-2)) + 1, 0, limit).astype(int)
        return first, last


def _clipped(points: Array) -> Array:
    """Corners in front of the near plane and the cuts of all edges and diagonals with it."""
    front, back = points[points[:, 2] >= NEAR_M], points[points[:, 2] < NEAR_M]
    share = (NEAR_M - back[:, None, 2]) / (front[None, :, 2] - back[:, None, 2] + 1e-9)
    cuts = back[:, None] + share[..., None] * (front[None] - back[:, None])
    points = np.concatenate([front, cuts.reshape(-1, 3)])
    points[:, 2] = np.maximum(points[:, 2], NEAR_M * 0.99)
    return points


def camera_rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Rotation of a camera (right, down, forward) to the world, float64 [3, 3].

    Args:
        yaw: to the right [rad].
        pitch: upward [rad].
        roll: clockwise [rad].
    """
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: Array = turn @ tilt @ lean
    return rotation
