# SPDX-License-Identifier: Apache-2.0
"""Forms: convex hulls, ellipsoids, upright sheets and slabs of ground.

Coordinates are local to the object: x to its right, y down, z to its front, meters, the ground at
y = 0 below its center. How rays meet them stands in `casting`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Vector = tuple[float, float, float]


class Shape(Protocol):
    """What all forms have."""

    def bounds(self) -> tuple[Vector, Vector]:
        """The smallest and the largest corner of a box around the shape [m]."""
        ...


@dataclass(frozen=True)
class Hull:
    """The convex body of all points with `normals @ point <= offsets`.

    Args:
        normals: float32 [planes, 3], outward, unit length.
        offsets: float32 [planes], meters.
        low: smallest corner of a box around it.
        high: largest corner.
    """

    normals: Array
    offsets: Array
    low: Vector
    high: Vector

    def bounds(self) -> tuple[Vector, Vector]:
        """The box given at construction."""
        return self.low, self.high


@dataclass(frozen=True)
class Ellipsoid:
    """A ball under a linear map.

    Args:
        center: meters.
        to_unit: float32 [3, 3], takes offsets from the center to the unit ball.
        reach_m: half its extent along x, y and z.
    """

    center: Vector
    to_unit: Array
    reach_m: Vector

    def bounds(self) -> tuple[Vector, Vector]:
        """The smallest box along the axes."""
        (x, y, z), (a, b, c) = self.center, self.reach_m
        return (x - a, y - b, z - c), (x + a, y + b, z + c)


@dataclass(frozen=True)
class Sheet:
    """An upright rectangle in the plane z = 0; its surface may leave parts transparent.

    Args:
        half_width_m: half of its extent along x.
        height_m: its extent above the ground.
    """

    half_width_m: float
    height_m: float

    def bounds(self) -> tuple[Vector, Vector]:
        """The rectangle itself."""
        return (-self.half_width_m, -self.height_m, 0.0), (self.half_width_m, 0.0, 0.0)


@dataclass(frozen=True)
class Slab:
    """A flat rectangle on the ground, seen from above: from z = 0 to its length, y = 0.

    Args:
        half_width_m: half of its extent along x.
        length_m: its extent along z.
    """

    half_width_m: float
    length_m: float

    def bounds(self) -> tuple[Vector, Vector]:
        """The rectangle itself."""
        return (-self.half_width_m, 0.0, 0.0), (self.half_width_m, 0.0, self.length_m)


_BOX_NORMALS = np.vstack([np.eye(3), -np.eye(3)]).astype(np.float32)


def box(half_width_m: float, height_m: float, half_length_m: float, base_m: float = 0.0) -> Hull:
    """A box that stands `base_m` above the ground."""
    top = base_m + height_m
    offsets = np.array(
        [half_width_m, -base_m, half_length_m, half_width_m, top, half_length_m], np.float32
    )
    low, high = (-half_width_m, -top, -half_length_m), (half_width_m, -base_m, half_length_m)
    return Hull(_BOX_NORMALS, offsets, low, high)


def prism(profile: Sequence[tuple[float, float]], half_width_m: float) -> Hull:
    """The side profile of a thing, drawn out along x.

    Args:
        profile: points (z, height) [m]; their convex hull is taken.
        half_width_m: half the extent along x.
    """
    points = cv2.convexHull(np.array(profile, np.float32))[:, 0]
    z, height = points[:, 0], points[:, 1]
    normals, offsets = [], []
    for (z0, h0), (z1, h1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        normal = np.array([0.0, z1 - z0, h1 - h0])
        normal /= np.linalg.norm(normal) + 1e-12
        offset = normal @ (0.0, -h0, z0)
        inward = normal @ (0.0, -height.mean(), z.mean()) < offset
        normals.append(normal if inward else -normal)
        offsets.append(offset if inward else -offset)
    for side in (-1.0, 1.0):
        normals.append(np.array([side, 0.0, 0.0]))
        offsets.append(half_width_m)
    low = (-half_width_m, -float(height.max()), float(z.min()))
    high = (half_width_m, -float(height.min()), float(z.max()))
    return Hull(np.array(normals, np.float32), np.array(offsets, np.float32), low, high)


@lru_cache(maxsize=256)
def _cone_normals(slope: float, sides: int) -> Array:
    angles = 2.0 * np.pi * np.arange(sides) / sides
    rows = np.stack([np.cos(angles), np.full(sides, -slope), np.sin(angles)], 1)
    rows /= np.hypot(1.0, slope)
    return np.vstack([rows, [[0, -1, 0], [0, 1, 0]]]).astype(np.float32)


def cone(radius_m: float, top_radius_m: float, height_m: float, sides: int = 8) -> Hull:
    """A truncated pyramid with many sides on the ground."""
    slope = (radius_m - top_radius_m) / height_m
    across = radius_m / math.hypot(1.0, slope)
    offsets = np.array([across] * sides + [height_m, 0.0], np.float32)
    reach = radius_m / math.cos(math.pi / sides)
    low, high = (-reach, -height_m, -reach), (reach, 0.0, reach)
    return Hull(_cone_normals(slope, sides), offsets, low, high)


def ball(center: Vector, half_axes: Vector) -> Ellipsoid:
    """An upright ellipsoid."""
    a, b, c = half_axes
    to_unit = np.array([[1.0 / a, 0.0, 0.0], [0.0, 1.0 / b, 0.0], [0.0, 0.0, 1.0 / c]], np.float32)
    return Ellipsoid(center, to_unit, half_axes)


def limb(start: Vector, end: Vector, radius_m: float, overlap: float = 1.2) -> Ellipsoid:
    """An ellipsoid along a line: an arm, a leg, a wheel's axle."""
    step = [b - a for a, b in zip(start, end, strict=True)]
    half = max(math.hypot(*step) / 2.0, 1e-3)
    axis = [d / (2.0 * half) for d in step]
    long = half * overlap
    stretch = 1.0 / long - 1.0 / radius_m
    to_unit = [
        [stretch * a * b + (1.0 / radius_m if i == k else 0.0) for k, b in enumerate(axis)]
        for i, a in enumerate(axis)
    ]
    center = [(a + b) / 2.0 for a, b in zip(start, end, strict=True)]
    reach = [math.sqrt((long * a) ** 2 + radius_m**2 * max(1.0 - a * a, 0.0)) for a in axis]
    return Ellipsoid(
        (center[0], center[1], center[2]),
        np.array(to_unit, np.float32),
        (reach[0], reach[1], reach[2]),
    )
