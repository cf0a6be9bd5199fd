# SPDX-License-Identifier: Apache-2.0
"""Cameras: rays out of them, boxes into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kd_perception.world.rendering.clipping import clipped_rectangles
from kd_perception.world.scenes.shapes import Array, Vector

NEAR_M = 0.3
"""Nothing closer than this is drawn."""

_WIDE_SHARE = 0.05


class Lens(Protocol):
    """What the caster needs of a camera."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        ...

    def rays(self) -> Array:
        """How rays follow from pixels, float64 [6, 3].

        Rows: origin, its change per column and per row; direction, its change per column and per
        row. The distance along a ray, in lengths of its direction, is the depth.
        """
        ...

    def windows(self, corners: Array) -> tuple[Array, Array]:
        """The image rectangles that hold boxes.

        Args:
            corners: float64 [boxes, 8, 3] in the world.

        Returns:
            The depth of the nearest corner of every box, float64 [boxes], and its rectangle (first
            row, last row + 1, first column, last column + 1), int32 [boxes, 4], empty where the
            box is not seen.
        """
        ...


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Args:
        image_size: (height, width) in pixels.
        focal_px: focal length, the same along both axes.
        position: in the world [m], float64 [3].
        rotation: camera (right, down, forward) to world, float64 [3, 3].
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

    @property
    def pose(self) -> Array:
        """Camera to world, float64 [4, 4]."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.position
        return pose

    def moved(self, right_m: float) -> Camera:
        """The camera that stands `right_m` to the right."""
        position = self.position + right_m * self.rotation[:, 0]
        return Camera(self.image_size, self.focal_px, position, self.rotation)

    def scaled(self, factor: int) -> Camera:
        """The same view with `factor` times as many pixels along each axis."""
        height, width = self.image_size
        size = (factor * height, factor * width)
        return Camera(size, factor * self.focal_px, self.position, self.rotation)

    def rays(self) -> Array:
        """Rays of all pixels start at the camera; see `Lens`."""
        (f, _, cx), (_, _, cy), _ = self.matrix
        right, down, forward = self.rotation.T
        rays = np.zeros((6, 3))
        rays[0] = self.position
        rays[3] = forward - right * (cx / f) - down * (cy / f)
        rays[4], rays[5] = right / f, down / f
        return rays

    def windows(self, corners: Array) -> tuple[Array, Array]:
        """See `Lens`."""
        seen = (corners - self.position) @ self.rotation
        nearest_m = seen[..., 2].min(axis=1)
        height, width = self.image_size
        windows = np.zeros((len(corners), 4), np.int32)
        ahead = nearest_m >= NEAR_M
        pixels = seen[ahead, :, :2] / seen[ahead, :, 2:] * self.focal_px + self.matrix[:2, 2]
        windows[ahead] = pixel_rectangles(pixels, self.image_size)
        # Boxes across the near plane, and wide ones whose corners lie far outside the image.
        rows, columns = windows[:, 1] - windows[:, 0], windows[:, 3] - windows[:, 2]
        clip = (nearest_m < NEAR_M) & (seen[..., 2].max(axis=1) >= NEAR_M)
        clip |= rows * columns > _WIDE_SHARE * height * width
        windows[clip] = clipped_rectangles(seen[clip], self.focal_px, height, width, NEAR_M)
        return nearest_m, windows


@dataclass(frozen=True)
class ParallelCamera:
    """A camera with parallel rays: the view of the sun.

    Args:
        image_size: (height, width) in pixels.
        pixel_m: size of a pixel [m].
        origin: where the middle of the image lies [m], float64 [3].
        direction: unit vector of the rays.
    """

    image_size: tuple[int, int]
    pixel_m: float
    origin: Array
    direction: Vector

    @property
    def rotation(self) -> Array:
        """Camera (right, down, forward) to world, float64 [3, 3]."""
        forward = np.array(self.direction)
        helper = np.array((0.0, 0.0, 1.0) if abs(forward[1]) > 0.9 else (0.0, 1.0, 0.0))
        right = np.cross(helper, forward)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward], axis=1)

    def rays(self) -> Array:
        """Rays of all pixels have the same direction; see `Lens`."""
        right, down, forward = self.rotation.T
        height, width = self.image_size
        rays = np.zeros((6, 3))
        middle = right * ((width - 1) / 2) + down * ((height - 1) / 2)
        rays[0] = self.origin - self.pixel_m * middle
        rays[1], rays[2], rays[3] = self.pixel_m * right, self.pixel_m * down, forward
        return rays

    def windows(self, corners: Array) -> tuple[Array, Array]:
        """See `Lens`."""
        seen = (corners - self.origin) @ self.rotation
        height, width = self.image_size
        pixels = seen[..., :2] / self.pixel_m + np.array([(width - 1) / 2, (height - 1) / 2])
        return seen[..., 2].min(axis=1), pixel_rectangles(pixels, self.image_size)


def pixel_rectangles(pixels: Array, image_size: tuple[int, int]) -> Array:
    """Rectangles (see `Lens.windows`) of points (column, row), float64 [..., points, 2]."""
    limit = np.array(image_size)[::-1]
    first = np.clip(np.floor(pixels.min(axis=-2)), 0, limit)
    last = np.clip(np.ceil(pixels.max(axis=-2)) + 1, 0, limit)
    edges = [first[..., 1], last[..., 1], first[..., 0], last[..., 0]]
    return np.stack(edges, axis=-1).astype(np.int32)


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
