# SPDX-License-Identifier: Apache-2.0
"""What persons sit on, hold and push; no class covers it."""

from __future__ import annotations

from kd_perception.world.classes import UNLABELED
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain
from kd_perception.world.scenes.shapes import ball, box, limb
from kd_perception.world.scenes.solids import Part, Thing


def seat(temperature_c: float, height_m: float) -> Thing:
    """A bench under a sitting person."""
    high = 0.24 * height_m
    wood = Plain(temperature_c, (0.15, 0.1, 0.06))
    plank = Part(box(0.7, 0.06, 0.22, base_m=high - 0.06), wood, (0.0, 0.0, -0.1))
    legs = [Part(box(0.05, high - 0.06, 0.2), wood, (x, 0.0, -0.1)) for x in (-0.55, 0.55)]
    return Thing((plank, *legs), UNLABELED)


def umbrella(temperature_c: float, color: Color, height_m: float) -> Thing:
    """An open umbrella in the right hand of a person."""
    high = height_m
    stick = limb((0.15, -0.75 * high, 0.2), (0.15, -high - 0.2, 0.2), 0.012)
    cloth = Plain(temperature_c, color, grain_k=0.4)
    roof = ball((0.15, -high - 0.12, 0.2), (0.52, 0.17, 0.52))
    return Thing((Part(stick, cloth), Part(roof, cloth)), UNLABELED)


def pram(temperature_c: float, color: Color) -> Thing:
    """A pram before the one who pushes it."""
    cloth, metal = Plain(temperature_c, color), Plain(temperature_c - 0.3, (0.05, 0.05, 0.05))
    body, hood = (
        ball((0, -0.62, 0.85), (0.24, 0.2, 0.42)),
        ball((0, -0.8, 0.68), (0.23, 0.24, 0.24)),
    )
    wheels = [ball((x, -0.12, z), (0.03, 0.12, 0.12)) for x in (-0.24, 0.24) for z in (0.6, 1.1)]
    bars = [limb((x, -0.5, 0.75), (x, -1.0, 0.38), 0.014) for x in (-0.2, 0.2)]
    bars += [limb((x, -0.12, z), (x, -0.5, 0.85), 0.014) for x in (-0.2, 0.2) for z in (0.6, 1.1)]
    return Thing(
        (Part(body, cloth), Part(hood, cloth), *(Part(s, metal) for s in (*wheels, *bars))),
        UNLABELED,
    )
