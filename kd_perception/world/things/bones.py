# SPDX-License-Identifier: Apache-2.0
"""Ellipsoids between two points, many at once: limbs and trunks of persons and animals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kd_perception.world.scenes.shapes import Ellipsoid, Vector


class Bone(NamedTuple):
    """An ellipsoid to be built between two points.

    Args:
        start: one end.
        end: the other.
        half_width_m: half axis sideways.
        half_depth_m: half axis in the third direction.
        overlap: how far it reaches beyond its ends, as a factor.
    """

    start: Vector
    end: Vector
    half_width_m: float
    half_depth_m: float
    overlap: float = 1.0


def ellipsoids(bones: Sequence[Bone]) -> list[Ellipsoid]:
    """Build the bodies of many bones at once."""
    ends = np.array([(bone.start, bone.end) for bone in bones], float)
    girth = np.array([bone[2:] for bone in bones], float)
    centers = ends.mean(axis=1)
    axis = ends[:, 1] - ends[:, 0]
    half = np.maximum(np.linalg.norm(axis, axis=1), 1e-3)[:, None]
    axis /= half
    half = 0.5 * half[:, 0] * girth[:, 2]
    across = np.array([1.0, 0.0, 0.0]) - axis[:, :1] * axis
    across /= np.linalg.norm(across, axis=1)[:, None] + 1e-9
    along_along = axis[:, :, None] * axis[:, None]
    wide_wide = across[:, :, None] * across[:, None]
    deep_deep = np.eye(3) - along_along - wide_wide
    to_unit = along_along / half[:, None, None] + wide_wide / girth[:, 0, None, None]
    to_unit += deep_deep / girth[:, 1, None, None]
    squares = np.stack([half, girth[:, 0], girth[:, 1]], axis=1)[..., None] ** 2
    parts = np.stack([axis, across, np.sqrt(np.maximum(deep_deep.diagonal(0, 1, 2), 0.0))], axis=1)
    reach = np.sqrt((squares * parts**2).sum(axis=1)).tolist()
    maps = to_unit.astype(np.float32)
    return [
        Ellipsoid((x, y, z), maps[k], (reach[k][0], reach[k][1], reach[k][2]))
        for k, (x, y, z) in enumerate(centers.tolist())
    ]
