# SPDX-License-Identifier: Apache-2.0
"""What stands in the world: parts of a form and a material, joined to things, put at places.

World axes: X right, Y down, Z forward, meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_perception.world.materials.base import Material
from kd_perception.world.scenes.shapes import Array, Shape, Vector


def rotations(yaw: Array | float, pitch: Array | float) -> Array:
    """From the axes of things to the world's, float64 [..., 3, 3]; see `Placement`.

    Args:
        yaw: rotations about the vertical [rad], any shape.
        pitch: by how much the fronts are raised [rad], of the same shape.
    """
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero = 0.0 * cy
    rows = np.array([[cy, -sy * sp, -sy * cp], [zero, cp, -sp], [sy, cy * sp, cy * cp]])
    return np.ascontiguousarray(rows.T.swapaxes(-1, -2))


class Placement(NamedTuple):
    """Where a thing stands.

    Args:
        position: of its origin in the world [m].
        yaw: rotation about the vertical [rad]; at 0 its front points along +Z, at pi / 2 to -X.
        pitch: by how much its front is raised [rad].
    """

    position: Vector
    yaw: float = 0.0
    pitch: float = 0.0

    def rotation(self) -> Array:
        """From the thing's own axes to the world's, float64 [3, 3]."""
        return rotations(self.yaw, self.pitch)

    def point(self, local: Vector) -> Vector:
        """The place of a point given in the thing's own coordinates."""
        x, y, z = (self.rotation() @ np.array(local) + np.array(self.position)).tolist()
        return x, y, z


class Part(NamedTuple):
    """A form with a material, in the coordinates of its thing.

    Args:
        shape: form.
        material: what it is made of.
        offset: place of the shape's origin in the thing [m].
        yaw: turn of the shape in the thing [rad].
        label: class id if it differs from that of the thing, -1 if not.
    """

    shape: Shape
    material: Material
    offset: Vector = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    label: int = -1


@dataclass(frozen=True)
class Thing:
    """Parts that belong together.

    Args:
        parts: forms and materials.
        label: class id.
        instance: object id, 0 for none.
        absorptance: share of the sun's warming that it takes.
        salient: whether it draws the eye.
        moving: whether it is on its way, so that its shadow leaves no cold behind.
    """

    parts: tuple[Part, ...]
    label: int = 0
    instance: int = 0
    absorptance: float = 1.0
    salient: bool = False
    moving: bool = False

    def at(self, placement: Placement) -> Placed:
        """The thing at a place."""
        return Placed(self, placement)


class Placed(NamedTuple):
    """A thing at a place: what a scene consists of."""

    thing: Thing
    placement: Placement
