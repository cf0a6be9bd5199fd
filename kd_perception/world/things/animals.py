# SPDX-License-Identifier: Apache-2.0
"""Animals: warm, they draw the eye, and no class covers them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sin

import numpy as np

from kd_perception.world.classes import UNLABELED
from kd_perception.world.climate import SKIN_C, Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing
from kd_perception.world.things.bones import Bone, ellipsoids

ANIMALS = ('dog', 'cat', 'deer', 'birds')
_FURS: tuple[Color, ...] = (
    (0.03, 0.025, 0.02),
    (0.16, 0.09, 0.05),
    (0.3, 0.22, 0.13),
    (0.5, 0.48, 0.45),
    (0.12, 0.12, 0.12),
)


@dataclass(frozen=True)
class Animal:
    """One animal (or one flock), ready to be put anywhere in any phase of a step.

    Args:
        kind: one of `ANIMALS`.
        height_m: of the back.
        fur: of the body.
        bare: of muzzle and legs, warmer.
        spots: places (x, z) and turns of the birds of a flock.
        instance: object id.
    """

    kind: str
    height_m: float
    fur: Plain
    bare: Plain
    spots: tuple[tuple[float, float, float], ...]
    instance: int

    def placed(
        self, placement: Placement, phase: float = 0.0, *, moving: bool = False
    ) -> list[Placed]:
        """On the ground, its nose forward, in the step given by `phase` [rad]."""
        bones = self._flock() if self.kind == 'birds' else self._four_legs(0.35 * sin(phase))
        bodies = ellipsoids([bone for bone, _ in bones])
        parts = tuple(Part(b, m) for b, (_, m) in zip(bodies, bones, strict=True))
        thing = Thing(parts, UNLABELED, self.instance, 0.3, salient=True, moving=moving)
        return [Placed(thing, placement)]

    def _four_legs(self, swing: float) -> list[tuple[Bone, Plain]]:
        h, up = self.height_m, 1.32 if self.kind == 'deer' else 1.15
        thick = 0.22 if self.kind == 'deer' else 0.27
        neck, head = (0.0, -0.85 * h, 0.5 * h), (0.0, -up * h, 0.75 * h)
        nose = (0.0, -up * h + 0.12 * h, 1.05 * h)
        bones = [
            (
                Bone(
                    (0, -0.78 * h, -0.6 * h), (0, -0.78 * h, 0.6 * h), 0.8 * thick * h, thick * h
                ),
                self.fur,
            ),
            (Bone(neck, head, 0.12 * h, 0.15 * h, 1.3), self.fur),
            (Bone(head, nose, 0.11 * h, 0.13 * h, 1.1), self.bare),
            (
                Bone((0, -0.9 * h, -0.58 * h), (0, -0.75 * h, -1.0 * h), 0.04 * h, 0.04 * h),
                self.fur,
            ),
        ]
        for z, sign in ((0.42, 1.0), (-0.45, -1.0)):
            for side in (-1.0, 1.0):
                foot = z * h + side * sign * swing * h
                hip, sole = (side * 0.12 * h, -0.7 * h, z * h), (side * 0.12 * h, -0.02, foot)
                bones.append((Bone(hip, sole, 0.06 * h, 0.075 * h), self.bare))
        if self.kind == 'deer':
            for side in (-1.0, 1.0):
                tip = (side * 0.22 * h, -(up + 0.12) * h, 0.7 * h)
                bones.append((Bone(head, tip, 0.03 * h, 0.05 * h), self.bare))
        return bones

    def _flock(self) -> list[tuple[Bone, Plain]]:
        h = self.height_m
        bones = []
        for x, z, turn in self.spots:
            ahead, aside = 0.9 * h * float(np.cos(turn)), 0.9 * h * float(np.sin(turn))
            tail, breast = (x - aside, -0.6 * h, z - ahead), (x + aside, -0.8 * h, z + ahead)
            bones.append((Bone(tail, breast, 0.38 * h, 0.38 * h), self.fur))
            bones.append(
                (
                    Bone(breast, (x + 1.2 * aside, -1.15 * h, z + 1.2 * ahead), 0.2 * h, 0.2 * h),
                    self.bare,
                )
            )
        return bones


def draw_animal(
    rng: np.random.Generator, climate: Climate, instance: int, kind: str | None = None
) -> Animal:
    """Draw an animal.

    Args:
        rng: stream to draw from.
        climate: of the scene.
        instance: object id.
        kind: one of `ANIMALS`, None to draw it.
    """
    if kind is None:
        kind = ANIMALS[int(rng.choice(4, p=(0.4, 0.25, 0.1, 0.25)))]
    height_m = {'dog': (0.3, 0.65), 'cat': (0.22, 0.3), 'deer': (0.8, 1.1), 'birds': (0.12, 0.22)}
    span_k = max(SKIN_C - climate.air_c, 2.5)
    color = _FURS[int(rng.integers(len(_FURS)))]

    def skin(low: float, high: float) -> Plain:
        warm_c = climate.air_c + span_k * rng.uniform(low, high)
        return Plain(warm_c, color, 0.97, 0.06 * span_k, 40.0, limb_k=0.1 * span_k)

    count = int(rng.integers(4, 12)) if kind == 'birds' else 0
    spots = tuple(
        (float(x), float(z), float(turn))
        for x, z, turn in rng.normal(0.0, 1.0, (count, 3)) * (0.9, 0.9, 1.5)
    )
    size = float(rng.uniform(*height_m[kind]))
    return Animal(kind, size, skin(0.15, 0.55), skin(0.45, 0.95), spots, instance)
