# SPDX-License-Identifier: Apache-2.0
"""Cars that share the road with a camera on its way, as pure functions of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.solids import Placed, Placement
from kd_perception.world.streets.terrain import Terrain
from kd_perception.world.things.vehicles import Car

VANISH_M, APPEAR_M = -20.0, 160.0
"""Where a car that comes along vanishes behind the camera, and where the next one appears."""


@dataclass(frozen=True)
class Sway:
    """A slow oscillation about zero."""

    amplitude: float
    period_s: float
    phase: float

    def at(self, time_s: float) -> float:
        """Its value at a time."""
        return self.amplitude * math.sin(2.0 * math.pi * time_s / self.period_s + self.phase)


def draw_sway(rng: np.random.Generator, amplitude: float, low_s: float, high_s: float) -> Sway:
    """Draw an oscillation of half to all of an amplitude.

    Args:
        rng: stream.
        amplitude: the largest.
        low_s: shortest period.
        high_s: longest period.
    """
    a, b, c = rng.uniform(size=3).tolist()
    return Sway(amplitude * (0.5 + 0.5 * a), low_s + (high_s - low_s) * b, 2.0 * math.pi * c)


@dataclass(frozen=True)
class Lane:
    """Cars that come again and again at a steady speed relative to the camera.

    Args:
        car: the vehicle.
        terrain: the street.
        u_m: where it drives.
        yaw: 0 for the camera's own direction, pi against it.
        approach_m_s: how fast the distance shrinks; 0 for a car that keeps its distance.
        offset_m: distance at time zero.
        sway: change of the distance.
    """

    car: Car
    terrain: Terrain
    u_m: float
    yaw: float
    approach_m_s: float
    offset_m: float
    sway: Sway

    def placement(self, time_s: float, camera_z_m: float) -> Placement:
        """Where it is."""
        distance = self.offset_m - self.approach_m_s * time_s + self.sway.at(time_s)
        if self.approach_m_s:
            distance = (distance - VANISH_M) % (APPEAR_M - VANISH_M) + VANISH_M
        return self.terrain.place(self.u_m, camera_z_m + distance, self.yaw)

    def at(self, time_s: float, camera_z_m: float) -> tuple[Placed, list[Decal]]:
        """The car and its heat on the road."""
        placement = self.placement(time_s, camera_z_m)
        return self.car.at(placement), self.car.decals(placement)
