# SPDX-License-Identifier: Apache-2.0
"""What moves: walkers, riders and cars on their way; each is a pure function of time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.solids import Placed, Placement
from kd_perception.world.things.animals import Animal
from kd_perception.world.things.bikes import Bike
from kd_perception.world.things.people import Person
from kd_perception.world.things.vehicles import Car

Ground = Callable[[float, float], tuple[float, float]]
"""From (x, z) to the height [m] of the ground there and by how much it rises along +Z [rad]."""

Path = Callable[[float], Placement]
"""From the way gone along a lane [m] to the place there."""

_STEP_RAD_PER_M = 4.2
_PEDAL_RAD_PER_M = 1.3


def level(x: float, z: float) -> tuple[float, float]:
    """Flat ground at height zero."""
    return 0.0, 0.0


def to_and_fro(time_s: float, turn_s: float) -> tuple[float, float]:
    """How long a way has been gone that leads back after `turn_s`, and its direction (1 or -1)."""
    if math.isinf(turn_s):
        return time_s, 1.0
    lap = time_s % (2.0 * turn_s)
    return (lap, 1.0) if lap < turn_s else (2.0 * turn_s - lap, -1.0)


class Actor(Protocol):
    """Something that moves."""

    def placed(self, time_s: float) -> list[Placed]:
        """The things it consists of at a time."""
        ...

    def decals(self, time_s: float) -> list[Decal]:
        """What it leaves on the ground at a time."""
        ...


@dataclass(frozen=True)
class Walker:
    """A person or an animal that walks to and fro, or stands for a velocity of zero.

    Args:
        who: a person or an animal.
        start: (x, z) at time zero [m].
        velocity: along (x, z) [m/s].
        turn_s: after how long the way leads back.
        phase: of the step at time zero [rad].
        yaw: heading of one who stands [rad].
        ground: what he walks on.
    """

    who: Person | Animal
    start: tuple[float, float]
    velocity: tuple[float, float]
    turn_s: float = 8.0
    phase: float = 0.0
    yaw: float = 0.0
    ground: Ground = level

    def placed(self, time_s: float) -> list[Placed]:
        """The walker and what he carries along."""
        speed = float(np.hypot(*self.velocity))
        elapsed, sign = to_and_fro(time_s, self.turn_s)
        vx, vz = self.velocity
        x, z = self.start[0] + vx * elapsed, self.start[1] + vz * elapsed
        height_m, _ = self.ground(x, z)
        yaw = float(np.arctan2(-sign * vx, sign * vz)) if speed > 0.05 else self.yaw
        place = Placement((x, -height_m, z), yaw)
        phase = self.phase + _STEP_RAD_PER_M * speed * time_s
        return self.who.placed(place, phase, moving=speed > 0.05)

    def decals(self, time_s: float) -> list[Decal]:
        """None: feet leave no heat that a camera of this kind sees."""
        return []


@dataclass(frozen=True)
class Rider:
    """A person on a bike who follows a path at constant speed.

    Args:
        person: who.
        bike: what he rides.
        path: where.
        speed_m_per_s: how fast, negative to ride the path backward.
        start_m: place along the path at time zero.
        turn_s: after how long the way leads back.
    """

    person: Person
    bike: Bike
    path: Path
    speed_m_per_s: float
    start_m: float = 0.0
    turn_s: float = math.inf

    def placed(self, time_s: float) -> list[Placed]:
        """Bike and rider."""
        elapsed, sign = to_and_fro(time_s, self.turn_s)
        way_m = self.start_m + self.speed_m_per_s * elapsed
        place = _heading(self.path(way_m), sign * self.speed_m_per_s)
        phase = _PEDAL_RAD_PER_M * (self.start_m + self.speed_m_per_s * time_s)
        bike = self.bike
        rider = self.person.riding(place, phase, bike.saddle_m, pedals=bike.pedals, lean=bike.lean)
        return [bike.at(place), *rider]

    def decals(self, time_s: float) -> list[Decal]:
        """None."""
        return []


@dataclass(frozen=True)
class Traveler:
    """A car that follows a path at constant speed.

    Args:
        car: what moves.
        path: where.
        speed_m_per_s: how fast, negative to drive the path backward.
        start_m: place along the path at time zero.
    """

    car: Car
    path: Path
    speed_m_per_s: float
    start_m: float = 0.0

    def placement(self, time_s: float) -> Placement:
        """Where it is at a time."""
        place = self.path(self.start_m + self.speed_m_per_s * time_s)
        return _heading(place, self.speed_m_per_s)

    def placed(self, time_s: float) -> list[Placed]:
        """The car."""
        return [self.car.at(self.placement(time_s))]

    def decals(self, time_s: float) -> list[Decal]:
        """The warmth beneath it."""
        return self.car.decals(self.placement(time_s))


def _heading(place: Placement, speed: float) -> Placement:
    """Turned around for one who goes backward along a path."""
    if speed >= 0.0:
        return place
    return Placement(place.position, place.yaw + np.pi, -place.pitch)
