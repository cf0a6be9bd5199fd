# SPDX-License-Identifier: Apache-2.0
"""Persons of ellipsoids: warm skin, clothes between skin and air, a walking pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.classes import PERSON
from kd_perception.world.climate import SKIN_C, Climate
from kd_perception.world.geometry import Solid
from kd_perception.world.materials import Plain
from kd_perception.world.shapes import Ellipsoid, Vector, ball, limb


@dataclass(frozen=True)
class Clothing:
    """The surfaces of one person."""

    skin: Plain
    hair: Plain
    top: Plain
    sleeve: Plain
    trousers: Plain
    shoe: Plain
    bag: Plain | None
    coat: bool


@dataclass(frozen=True)
class Person:
    """One person, ready to be put anywhere in any phase of a step.

    Args:
        height_m: from sole to crown.
        girth: factor on all widths.
        stride: swing of the legs [rad].
        clothing: surfaces.
        instance: object id.
    """

    height_m: float
    girth: float
    stride: float
    clothing: Clothing
    instance: int

    def solids(self, position: Vector, yaw: float, phase: float = 0.0) -> list[Solid]:
        """Upright: standing for `stride` 0, else in the step given by `phase` [rad]."""
        swing = self.stride * float(np.sin(phase))
        parts = [*self._trunk(), *self._legs(swing), *self._arms(swing)]
        return self._placed(parts, position, yaw)

    def riding_solids(self, position: Vector, yaw: float, phase: float = 0.0) -> list[Solid]:
        """On a bike, feet on the pedals."""
        thigh, lift = 0.75, 0.28 * float(np.sin(phase))
        parts = [*self._trunk()]
        for side, turn in ((-1.0, lift), (1.0, -lift)):
            parts += self._leg(side, thigh + turn, thigh + turn - 1.0)
            parts.append((self._arm(side, 0.75, 0.95), self.clothing.sleeve))
        return self._placed(parts, position, yaw)

    def _placed(
        self, parts: list[tuple[Ellipsoid, Plain]], position: Vector, yaw: float
    ) -> list[Solid]:
        return [
            Solid(shape, surface, position, yaw, PERSON, self.instance, 0.3)
            for shape, surface in parts
        ]

    def _trunk(self) -> list[tuple[Ellipsoid, Plain]]:
        h, wide, wear = self.height_m, self.height_m * self.girth, self.clothing
        parts = [
            (ball((0, -0.925 * h, 0.01 * h), (0.05 * h, 0.072 * h, 0.06 * h)), wear.skin),
            (ball((0, -0.95 * h, -0.015 * h), (0.053 * h, 0.055 * h, 0.058 * h)), wear.hair),
            (ball((0, -0.72 * h, 0), (0.108 * wide, 0.15 * h, 0.07 * wide)), wear.top),
            (ball((0, -0.57 * h, 0), (0.098 * wide, 0.12 * h, 0.07 * wide)), wear.top),
        ]
        if wear.coat:
            parts.append((ball((0, -0.46 * h, 0), (0.12 * wide, 0.17 * h, 0.1 * wide)), wear.top))
        if wear.bag is not None:
            center = (0.0, -0.7 * h, -0.1 * wide)
            parts.append((ball(center, (0.09 * wide, 0.12 * h, 0.06 * wide)), wear.bag))
        return parts

    def _legs(self, swing: float) -> list[tuple[Ellipsoid, Plain]]:
        bend = 0.5 * abs(swing)
        return [
            *self._leg(-1.0, swing, swing - bend),
            *self._leg(1.0, -swing, -swing - bend),
        ]

    def _leg(self, side: float, thigh: float, shin: float) -> list[tuple[Ellipsoid, Plain]]:
        h, wide = self.height_m, self.height_m * self.girth
        hip = (side * 0.05 * wide, -0.5 * h, 0.0)
        knee = _hang(hip, thigh, 0.25 * h)
        ankle = _hang(knee, shin, 0.22 * h)
        toe = (ankle[0], min(ankle[1] + 0.015 * h, -0.01), ankle[2] + 0.07 * h)
        wear = self.clothing
        return [
            (limb(hip, knee, 0.058 * wide), wear.trousers),
            (limb(knee, ankle, 0.042 * wide), wear.trousers),
            (limb(ankle, toe, 0.025 * h), wear.shoe),
        ]

    def _arms(self, swing: float) -> list[tuple[Ellipsoid, Plain]]:
        parts = []
        for side in (-1.0, 1.0):
            turn = -0.8 * side * swing
            parts.append((self._arm(side, turn, turn + 0.25), self.clothing.sleeve))
            parts.append((self._hand(side, turn, turn + 0.25), self.clothing.skin))
        return parts

    def _elbow(self, side: float, upper: float) -> Vector:
        wide = self.height_m * self.girth
        return _hang((side * 0.125 * wide, -0.8 * self.height_m, 0.0), upper, 0.17 * self.height_m)

    def _arm(self, side: float, upper: float, lower: float) -> Ellipsoid:
        wide = self.height_m * self.girth
        wrist = _hang(self._elbow(side, upper), lower, 0.14 * self.height_m)
        shoulder = (side * 0.112 * wide, -0.81 * self.height_m, 0.0)
        return limb(shoulder, wrist, 0.027 * wide, overlap=1.1)

    def _hand(self, side: float, upper: float, lower: float) -> Ellipsoid:
        x, y, z = _hang(self._elbow(side, upper), lower, 0.17 * self.height_m)
        return ball((x, y, z), (0.022, 0.045, 0.03))


def _hang(start: Vector, angle: float, length: float) -> Vector:
    """The end of a limb that hangs from `start`, swung forward by `angle`."""
    x, y, z = start
    return x, y + length * float(np.cos(angle)), z + length * float(np.sin(angle))


def draw_person(rng: np.random.Generator, climate: Climate, instance: int) -> Person:
    """Draw size, build, gait and clothes of a person."""
    child = rng.uniform() < 0.12
    return Person(
        height_m=rng.uniform(1.0, 1.45) if child else rng.uniform(1.52, 1.9),
        girth=rng.uniform(0.85, 1.25),
        stride=rng.uniform(0.2, 0.55) if rng.uniform() < 0.7 else 0.0,
        clothing=_draw_clothing(rng, climate),
        instance=instance,
    )


def _draw_clothing(rng: np.random.Generator, climate: Climate) -> Clothing:
    air_c = climate.air_c

    def cloth(share_low: float, share_high: float) -> Plain:
        temperature = air_c + rng.uniform(share_low, share_high) * (SKIN_C - 1.0 - air_c)
        grain, kind = rng.uniform(0.5, 1.6), int(rng.integers(4))
        return Plain(temperature, 0.97, grain, 16.0, kind, limb_k=rng.uniform(0.5, 3.0))

    top = cloth(0.15, 0.85)
    bare_arms = rng.uniform() < 0.35
    skin_c = air_c + rng.uniform(0.55, 1.0) * (SKIN_C + 1.0 - air_c)
    skin = Plain(skin_c, 0.98, 0.5, 30.0, limb_k=rng.uniform(0.5, 2.5))
    return Clothing(
        skin=skin,
        hair=skin if rng.uniform() < 0.25 else cloth(0.2, 0.8),
        top=top,
        sleeve=skin if bare_arms else top,
        trousers=skin if rng.uniform() < 0.15 else cloth(0.15, 0.8),
        shoe=cloth(0.0, 0.5),
        bag=cloth(0.0, 0.3) if rng.uniform() < 0.3 else None,
        coat=bool(rng.uniform() < 0.3),
    )
