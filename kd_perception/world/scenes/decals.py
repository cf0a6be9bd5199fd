# SPDX-License-Identifier: Apache-2.0
"""What lies flat on the ground: warm and cold patches, paint, puddles."""

from __future__ import annotations

from typing import NamedTuple

from kd_perception.world.materials.base import Color
from kd_perception.world.scenes.shapes import Vector


class Decal(NamedTuple):
    """A rectangle on the ground with soft edges.

    Args:
        position: its middle in the world [m].
        yaw: its turn [rad].
        half_width_m: half its extent along its own x.
        half_length_m: half its extent along its own z.
        warming_k: how much warmer the ground is there.
        color: reflectance of paint.
        blend: how much of the color covers the ground, 0 to 1.
        wetness: of the ground there, 0 to 1.
        softness: width of the edge as a share of the half sizes, > 0.
        stripe_m: period of paint stripes along its diagonal, 0 for none.
    """

    position: Vector
    yaw: float
    half_width_m: float
    half_length_m: float
    warming_k: float = 0.0
    color: Color = (0.0, 0.0, 0.0)
    blend: float = 0.0
    wetness: float = 0.0
    softness: float = 0.4
    stripe_m: float = 0.0
