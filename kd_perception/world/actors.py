# SPDX-License-Identifier: Apache-2.0
"""What moves: persons who walk to and fro, riders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kd_perception.world.furniture import Bike
from kd_perception.world.geometry import Solid
from kd_perception.world.people import Person
from kd_perception.world.shapes import Vector

_SEAT_M = 0.28
_STEP_RATE = 5.5


class Actor(Protocol):
    """Something that moves: a pure function of time."""

    def solids(self, time_s: float) -> list[Solid]:
        """Its solids at a time."""
        ...


@dataclass(frozen=True)
class Walker:
    """A person who walks to and fro, or rides a bike along.

    Args:
        person: who.
        start: where at time zero.
        velocity: along (X, Z) [m/s].
        turn_s: after how long the way leads back.
        phase: of the step at time zero [rad].
        bike: ridden, if any.
    """

    person: Person
    start: Vector
    velocity: tuple[float, float]
    turn_s: float
    phase: float
    bike: Bike | None = None

    def solids(self, time_s: float) -> list[Solid]:
        """The person, and the bike under a rider."""
        lap = time_s % (2.0 * self.turn_s)
        there = lap < self.turn_s
        elapsed = lap if there else 2.0 * self.turn_s - lap
        sign = 1.0 if there else -1.0
        vx, vz = self.velocity
        yaw = float(np.arctan2(-sign * vx, sign * vz))
        x, _, z = self.start
        place = (x + vx * elapsed, 0.0, z + vz * elapsed)
        phase = self.phase + _STEP_RATE * time_s * float(np.hypot(vx, vz) > 0.05)
        if self.bike is None:
            return self.person.solids(place, yaw, phase)
        rider = self.person.riding_solids((place[0], -_SEAT_M, place[2]), yaw, phase)
        return self.bike.solids(place, yaw) + rider
