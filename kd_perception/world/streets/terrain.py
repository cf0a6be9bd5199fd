# SPDX-License-Identifier: Apache-2.0
"""Where the street runs: its curve, its slope, and the ground that follows both.

Street coordinates: u [m] to the right of the centerline, z [m] along it, measured on the world's
Z axis. The ground's height changes with the world's Z alone, so that its pieces meet without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from kd_perception.world.materials.ground import Ground
from kd_perception.world.scenes.shapes import Slab
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing

NODE_M = 5.0
"""Distance between the points at which the slope changes."""

MIN_RADIUS_M = 40.0
_CURVE_PIECE_M = 10.0
_FAR_M, _FAR_SLABS_M = 90.0, 4000.0
_HALF_WIDTH_M = 1500.0


@dataclass(frozen=True)
class Terrain:
    """The course of a street.

    Args:
        swing_m: amplitude of its curve, 0 for a straight street.
        swing_period_m: period of the curve.
        swing_phase: of the curve at z = 0 [rad].
        grade: constant part of the slope.
        wave_slope: largest slope of the hills, 0 for none.
        wave_period_m: distance of the hills.
        wave_phase: of the hills at z = 0 [rad].
    """

    swing_m: float = 0.0
    swing_period_m: float = 200.0
    swing_phase: float = 0.0
    grade: float = 0.0
    wave_slope: float = 0.0
    wave_period_m: float = 150.0
    wave_phase: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether the ground is a plane at height 0."""
        return self.grade == 0.0 and self.wave_slope == 0.0

    @property
    def straight(self) -> bool:
        """Whether the street has no curve."""
        return self.swing_m == 0.0

    @property
    def piece_m(self) -> float:
        """How long a rigid thing along the street may be without leaving the ground."""
        return 45.0 if self.flat and self.straight else NODE_M

    def center(self, z_m: float) -> float:
        """World X of the centerline at a world Z [m]."""
        angle = 2.0 * math.pi * z_m / self.swing_period_m + self.swing_phase
        return self.swing_m * (math.sin(angle) - math.sin(self.swing_phase))

    def bend(self, z_m: float) -> float:
        """Change of `center` per meter of Z."""
        wave = 2.0 * math.pi / self.swing_period_m
        return self.swing_m * wave * math.cos(wave * z_m + self.swing_phase)

    def height(self, z_m: float) -> float:
        """Height of the ground at a world Z [m]; linear between the nodes."""
        if self.flat:
            return 0.0
        node = math.floor(z_m / NODE_M)
        share = z_m / NODE_M - node
        low, high = self._hill(node * NODE_M), self._hill((node + 1) * NODE_M)
        return low + share * (high - low)

    def slope(self, z_m: float) -> float:
        """Rise of the ground per meter of Z."""
        if self.flat:
            return 0.0
        start = math.floor(z_m / NODE_M) * NODE_M
        return (self._hill(start + NODE_M) - self._hill(start)) / NODE_M

    def smooth_slope(self, z_m: float) -> float:
        """The slope without its steps, which a vehicle with two axles feels."""
        wave = 2.0 * math.pi / self.wave_period_m
        return self.grade + self.wave_slope * math.cos(wave * z_m + self.wave_phase)

    def _hill(self, z_m: float) -> float:
        wave = 2.0 * math.pi / self.wave_period_m
        swell = math.sin(wave * z_m + self.wave_phase) - math.sin(self.wave_phase)
        return self.grade * z_m + self.wave_slope / wave * swell

    def place(self, u_m: float, z_m: float, yaw: float = 0.0, height_m: float = 0.0) -> Placement:
        """Where a thing stands.

        Args:
            u_m: to the right of the centerline.
            z_m: along the street.
            yaw: 0 to look along the street [rad].
            height_m: above the ground.
        """
        if self.flat and self.straight:
            return Placement((u_m, -height_m, z_m), yaw)
        heading = math.atan(self.bend(z_m))
        cosine, sine = math.cos(heading), math.sin(heading)
        world_z = z_m - u_m * sine
        turn = yaw - heading
        pitch = math.atan(self.slope(world_z) * math.cos(turn))
        position = (
            self.center(z_m) + u_m * cosine,
            -self.height(world_z) - height_m,
            world_z,
        )
        return Placement(position, turn, pitch)

    def upright(
        self, u_m: float, z_m: float, yaw: float = 0.0, height_m: float = 0.0
    ) -> Placement:
        """Where a thing stands that does not lean with the slope, such as a house."""
        return self.place(u_m, z_m, yaw, height_m)._replace(pitch=0.0)

    def ground(self, x_m: float, z_m: float) -> tuple[float, float]:
        """Height [m] and slope along +Z [rad] of the ground at a place of the world."""
        return self.height(z_m), math.atan(self.slope(z_m))

    def lane(self, u_m: float) -> Callable[[float], Placement]:
        """The way along the street at a distance from its middle, by the coordinate along it."""
        return lambda way_m: self.place(u_m, way_m)

    def crossing(self, z_m: float, span_m: float) -> Callable[[float], Placement]:
        """The way to the right across the street at z; it starts again after a span."""
        return lambda way_m: self.place(
            (way_m + 0.5 * span_m) % span_m - 0.5 * span_m, z_m, -0.5 * math.pi
        )

    def across(self, x_m: float, z_m: float) -> float:
        """Street coordinate u of a point of the world, the inverse of `place` up to curvature."""
        return (x_m - self.center(z_m)) * math.cos(math.atan(self.bend(z_m)))

    def slabs(
        self, near_m: float, far_m: float, material: Callable[[float, float], Ground]
    ) -> list[Placed]:
        """The ground in pieces, from `near_m` to the horizon.

        Args:
            near_m: where it begins.
            far_m: up to where it follows curve and slope; a plane from there on.
            material: gives the ground between two street coordinates, without its centerline.
        """
        nodes = self._nodes(near_m, far_m)
        pieces = [self._slab(z0, z1, material(z0, z1)) for z0, z1 in pairwise(nodes)]
        end = nodes[-1]
        ahead: dict[str, Any] = {'center_0': self.center(end), 'center_1': self.bend(end)}
        horizon = replace(material(end, end + _FAR_M), start_m=end, **ahead)
        shape = Slab(_FAR_SLABS_M, _FAR_SLABS_M)
        level = Placement((0.0, -self.height(end), end))
        pieces.append(Thing((Part(shape, horizon),)).at(level))
        return pieces

    def _nodes(self, near_m: float, far_m: float) -> list[float]:
        step = NODE_M if not self.flat else 45.0 if self.straight else _CURVE_PIECE_M
        first, last = math.floor(near_m / step), math.ceil(far_m / step)
        return [k * step for k in range(first, last + 1)]

    def _slab(self, z0: float, z1: float, ground: Ground) -> Placed:
        slope = (self.height(z1) - self.height(z0)) / (z1 - z0)
        pitch = math.atan(slope)
        length = (z1 - z0) / math.cos(pitch)
        material = replace(ground, start_m=z0, **self._course(z0, length))
        thing = Thing((Part(Slab(_HALF_WIDTH_M, length), material),))
        return thing.at(Placement((0.0, -self.height(z0), z0), 0.0, pitch))

    def _course(self, z0: float, length_m: float) -> dict[str, Any]:
        """The cubic that has the centerline's place and direction at both ends of a piece."""
        if self.straight:
            return {}
        c0, s0 = self.center(z0), self.bend(z0)
        c1, s1 = self.center(z0 + length_m), self.bend(z0 + length_m)
        mean = (c1 - c0) / length_m
        return {
            'center_0': c0,
            'center_1': s0,
            'center_2': (3.0 * mean - 2.0 * s0 - s1) / length_m,
            'center_3': (s0 + s1 - 2.0 * mean) / length_m**2,
        }


def draw_terrain(rng: np.random.Generator, *, level: bool = False) -> Terrain:
    """Draw a course; about half of all streets are straight, half are flat.

    Args:
        rng: stream.
        level: for a straight and flat place, such as a car park.
    """
    curved, sloped, radius, period, a, b, c, d = rng.uniform(size=8).tolist()
    curved, sloped = curved < 0.5 and not level, sloped < 0.5 and not level
    swing_period = 150.0 + 250.0 * period
    radius = MIN_RADIUS_M + 10.0 + 300.0 * radius**2
    wave_period = 90.0 + 160.0 * d
    return Terrain(
        swing_m=swing_period**2 / (4.0 * math.pi**2 * radius) if curved else 0.0,
        swing_period_m=swing_period,
        swing_phase=2.0 * math.pi * a,
        grade=0.03 * (2.0 * b - 1.0) if sloped else 0.0,
        wave_slope=0.04 * c if sloped else 0.0,
        wave_period_m=wave_period,
        wave_phase=2.0 * math.pi * (7.0 * d % 1.0),
    )
