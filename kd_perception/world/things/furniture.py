# SPDX-License-Identifier: Apache-2.0
"""Street things without own heat that have a class: cones, guardrails, stops, bumps and curbs.

Long things run along z, from minus to plus half their length.
"""

from __future__ import annotations

import numpy as np

from kd_perception.world.classes import BUMP, CAR_STOP, COLOR_CONE, CURVE, GUARDRAIL
from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.rail import BARS, BEAM, PIPES, Rail
from kd_perception.world.scenes.shapes import Sheet, box, cone, limb, prism
from kd_perception.world.scenes.solids import Part, Thing

_COLD_DEVIATION_K = 1.4
"""Spread of things without own heat about the temperature of their surroundings."""

_ORANGE: Color = (0.62, 0.13, 0.02)
_CONE_COLORS: tuple[Color, ...] = (
    _ORANGE,
    _ORANGE,
    _ORANGE,
    (0.02, 0.3, 0.12),
    (0.02, 0.3, 0.12),
    (0.5, 0.03, 0.03),
    (0.6, 0.45, 0.03),
    (0.03, 0.1, 0.4),
)
_WHITE: Color = (0.75, 0.75, 0.73)
_YELLOW: Color = (0.6, 0.42, 0.02)
_BLACK: Color = (0.02, 0.02, 0.02)


def cold_c(rng: np.random.Generator, base_c: float) -> float:
    """The temperature of a thing without own heat, about that of its surroundings [°C]."""
    return float(base_c + rng.normal(0.0, _COLD_DEVIATION_K))


def draw_cone(rng: np.random.Generator, climate: Climate, instance: int) -> Thing:
    """A traffic cone on its square foot, with up to two white bands."""
    high = rng.uniform(0.45, 0.95)
    color = _CONE_COLORS[int(rng.integers(len(_CONE_COLORS)))]
    base_c = cold_c(rng, climate.ground_mix_c)
    plastic = Plain(base_c, color, 0.93, rng.uniform(0.3, 0.8), 14.0, limb_k=rng.uniform(0.0, 0.8))
    band = Plain(base_c - rng.uniform(0.0, 1.2), _WHITE, 0.86, 0.3)
    foot = Plain(base_c, color if rng.uniform() < 0.5 else _BLACK, 0.95, 0.25)
    wide, top = rng.uniform(0.18, 0.24) * high, 0.045 * high
    parts = [
        Part(cone(wide, top, high, 10), plastic),
        Part(box(1.35 * wide, 0.05 * high, 1.35 * wide), foot),
    ]
    for k in range(int(rng.integers(0, 3))):
        # Each band is a slice of a slightly wider cone.
        low, slope = (0.35 + 0.27 * k) * high, (wide - top) / high
        radius, thick = wide - slope * low + 0.006, 0.14 * high
        slice_ = cone(radius, radius - slope * thick, thick, 10)
        parts.append(Part(slice_, band, (0.0, -low, 0.0)))
    return Thing(tuple(parts), COLOR_CONE, instance, absorptance=0.7, salient=True)


def draw_guardrail(
    rng: np.random.Generator, climate: Climate, length_m: float, instance: int
) -> Thing:
    """A straight piece of a beam on posts, of a fence of bars or of pipes."""
    style = (BEAM, BARS, PIPES)[int(rng.choice(3, p=(0.45, 0.3, 0.25)))]
    high = rng.uniform(0.68, 0.85) if style == BEAM else rng.uniform(0.75, 1.15)
    metal = Rail(
        cold_c(rng, climate.ground_mix_c),
        _rail_color(rng),
        style,
        high,
        wave_k=rng.uniform(0.2, 0.9),
        emissivity=rng.uniform(0.65, 0.93),
    )
    post = Plain(metal.temperature_c + rng.normal(0.0, 0.4), metal.color, metal.emissivity)
    half = length_m / 2
    parts = [_rail_part(metal, half)]
    for z in np.arange(-half + 0.5, half, 2.0).tolist():
        if style == BEAM:
            parts.append(Part(box(0.06, high - 0.04, 0.06), post, (0.09, 0.0, z)))
        else:
            parts.append(Part(limb((0, 0, z), (0, -high, z), 0.035, 1.0), post))
    return Thing(tuple(parts), GUARDRAIL, instance, absorptance=0.4)


def _rail_color(rng: np.random.Generator) -> Color:
    if rng.uniform() < 0.6:
        gray = rng.uniform(0.2, 0.5)
        return gray, gray, gray
    paints: tuple[Color, ...] = (_WHITE, (0.05, 0.2, 0.1), (0.12, 0.07, 0.04), _YELLOW)
    return paints[int(rng.integers(len(paints)))]


def _rail_part(metal: Rail, half_m: float) -> Part:
    """A beam has depth, bars and pipes stand on a sheet; both run along the part's own x."""
    if metal.style == BEAM:
        beam = box(half_m, 0.31, 0.04, base_m=metal.height_m - 0.31)
        return Part(beam, metal, yaw=np.pi / 2)
    return Part(Sheet(half_m, metal.height_m), metal, yaw=np.pi / 2)


def draw_car_stop(rng: np.random.Generator, climate: Climate, instance: int) -> Thing:
    """A wheel stop across the front: concrete, striped rubber, or two low blocks."""
    high, deep = rng.uniform(0.09, 0.2), rng.uniform(0.07, 0.13)
    profile = [(-deep, 0.0), (deep, 0.0), (0.6 * deep, high), (-0.6 * deep, high)]
    striped = rng.uniform() < 0.45
    gray = rng.uniform(0.2, 0.45)
    material = Plain(
        cold_c(rng, climate.road_c),
        _YELLOW if striped else (gray, gray, 0.95 * gray),
        0.94,
        0.25,
        stripe_m=rng.uniform(0.25, 0.6) if striped else 0.0,
        stripe_k=rng.normal(0.0, 0.4),
        stripe_color=_BLACK,
    )
    half = rng.uniform(0.5, 0.95)
    if rng.uniform() < 0.35:
        block = prism(profile, 0.3)
        parts = tuple(Part(block, material, (x, 0.0, 0.0)) for x in (-half + 0.1, half - 0.1))
    else:
        parts = (Part(prism(profile, half), material),)
    return Thing(parts, CAR_STOP, instance, absorptance=0.8)


def draw_bump(
    rng: np.random.Generator, climate: Climate, half_width_m: float, instance: int
) -> Thing:
    """A speed bump across the carriageway, striped or as gray as the road."""
    half, high = rng.uniform(0.2, 0.6), rng.uniform(0.04, 0.1)
    profile = [(-half, 0.0), (half, 0.0), (0.5 * half, high), (-0.5 * half, high)]
    striped = rng.uniform() < 0.6
    gray = rng.uniform(0.05, 0.15)
    material = Plain(
        cold_c(rng, climate.road_c + 0.5),
        (_YELLOW if rng.uniform() < 0.7 else _WHITE) if striped else (gray, gray, gray),
        0.94,
        0.25,
        stripe_m=rng.uniform(0.6, 1.2) if striped else 0.0,
        stripe_k=rng.normal(0.0, 0.5),
        stripe_color=_BLACK,
    )
    return Thing((Part(prism(profile, half_width_m), material),), BUMP, instance, absorptance=0.9)


def draw_curb_piece(
    climate: Climate, temperature_c: float, length_m: float, instance: int
) -> Thing:
    """A straight row of curb stones; wet ones are darker."""
    gray = 0.32 - 0.12 * climate.wetness
    stone = Plain(temperature_c, (gray, gray, 0.95 * gray), 0.94, 0.3, 8.0, 3)
    return Thing((Part(box(0.14, 0.14, length_m / 2), stone),), CURVE, instance, absorptance=0.8)
