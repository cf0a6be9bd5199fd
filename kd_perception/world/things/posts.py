# SPDX-License-Identifier: Apache-2.0
"""Upright things along a street: poles, signs, traffic lights, street lamps, wires."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.strokes import Segment, Strokes
from kd_perception.world.scenes.shapes import Sheet, ball, box, cone
from kd_perception.world.scenes.solids import Part, Thing

DARK: Final[Color] = (0.06, 0.06, 0.065)
STEEL: Final[Color] = (0.32, 0.33, 0.34)
_SIGNALS: Final[tuple[Color, ...]] = (
    (0.6, 0.05, 0.04),
    (0.05, 0.12, 0.5),
    (0.7, 0.5, 0.05),
    (0.04, 0.3, 0.1),
    (0.75, 0.75, 0.75),
)


def cold_matter(climate: Climate, a: list[float], color: Color, spread_k: float = 2.5) -> Plain:
    """Cold matter near the air's temperature, from three numbers of 0 to 1."""
    return Plain(
        climate.air_c + spread_k * (2.0 * a[0] - 1.1),
        color,
        0.8 + 0.15 * a[1],
        0.15 + 0.5 * a[2],
        8.0,
        int(4 * a[1]),
        limb_k=a[2],
    )


def signal_color(number: float, tone: float) -> Color:
    """One of the bright colors that people paint things with, times a tone."""
    r, g, b = _SIGNALS[int(number * len(_SIGNALS))]
    return r * tone, g * tone, b * tone


def draw_pole(rng: np.random.Generator, climate: Climate) -> Thing:
    """A pole of wood, steel or concrete; some carry a box."""
    a = rng.uniform(size=8).tolist()
    height, radius = 2.5 + 6.5 * a[3], 0.05 + 0.11 * a[4]
    tone = 0.1 + 0.25 * a[5]
    matter = cold_matter(climate, a, (tone, tone, 0.95 * tone))
    parts = [Part(cone(radius, 0.7 * radius, height, 6), matter)]
    if a[6] < 0.25:
        parts.append(Part(box(0.2, 0.6, 0.15, 0.4 * height), matter, (0.2, 0.0, 0.0)))
    if height > 6.5:
        parts.append(Part(box(0.9, 0.12, 0.06, height - 0.6), matter))
    return Thing(tuple(parts))


def draw_sign(rng: np.random.Generator, climate: Climate) -> Thing:
    """A traffic sign or a board on a post; metal that mirrors a cold sky."""
    a = rng.uniform(size=9).tolist()
    height, half = 1.3 + 1.6 * a[3], 0.22 + 0.3 * a[4] ** 2
    metal = Plain(
        climate.air_c + 2.0 * a[0] - 1.5,
        signal_color(a[5], 0.6 + 0.4 * a[6]),
        0.55 + 0.4 * a[1],
        0.2,
    )
    post = Part(box(0.03, height, 0.03), cold_matter(climate, a, STEEL))
    plate = Part(box(half, 2.0 * half, 0.015, height), metal, (0.0, 0.0, -0.05))
    if a[7] < 0.35:
        second = Part(box(0.8 * half, 0.25, 0.015, height - 0.3), metal, (0.0, 0.0, -0.05))
        return Thing((post, plate, second))
    return Thing((post, plate))


def draw_lights(rng: np.random.Generator, climate: Climate) -> Thing:
    """A traffic light on a post; its lamp is warm."""
    a = rng.uniform(size=5).tolist()
    height = 2.3 + 2.0 * a[3]
    post = Part(cone(0.07, 0.06, height + 0.8, 6), cold_matter(climate, a, STEEL))
    case = Part(box(0.17, 0.8, 0.12, height), cold_matter(climate, a, DARK))
    red = a[4] < 0.5
    lamp = Plain(
        climate.air_c + 3.0 + 4.0 * a[0],
        (1.0, 0.08, 0.05) if red else (0.05, 1.0, 0.5),
        glow=1.2 if climate.night else 2.0,
    )
    lens = ball((0.0, -height - (0.65 if red else 0.15), -0.13), (0.09, 0.09, 0.04))
    return Thing((post, case, Part(lens, lamp)))


LAMP_REACH_M: Final = 1.4
"""How far the head of a street lamp stands before its post."""


def draw_street_lamp(
    rng: np.random.Generator, climate: Climate, color: Color, height_m: float, side: float
) -> Thing:
    """A street lamp that reaches over the street; its head is warm when lit.

    Args:
        rng: stream.
        climate: temperatures of the scene.
        color: of its light.
        height_m: of its head.
        side: 1 if it stands to the right of the street, -1 to the left.
    """
    a = rng.uniform(size=3).tolist()
    steel = cold_matter(climate, a, STEEL)
    warm_k = 4.0 + 14.0 * a[0] if climate.night else 1.0
    glow = 1.5 if climate.night else 0.0
    shade = Plain(climate.air_c + warm_k, color if climate.night else (0.6, 0.6, 0.6), glow=glow)
    out = -side * LAMP_REACH_M
    arm = box(0.5 * LAMP_REACH_M, 0.07, 0.035, height_m)
    head = ball((out, -height_m, 0.0), (0.34, 0.08, 0.13))
    return Thing(
        (
            Part(cone(0.09, 0.05, height_m, 6), steel),
            Part(arm, steel, (0.5 * out, 0.0, 0.0)),
            Part(head, shade),
        )
    )


def draw_wires(climate: Climate, length_m: float, height_m: float) -> Thing:
    """Wires that sag between two poles along the street."""
    lines: list[Segment] = []
    steps = 8
    for level in (0.0, 0.35, 0.9):
        points = [
            (length_m * (k / steps - 0.5), height_m - level - 0.9 * math.sin(math.pi * k / steps))
            for k in range(steps + 1)
        ]
        for (x0, h0), (x1, h1) in pairwise(points):
            lines.append((x0, h0, x1, h1, 0.022))
    wire = Strokes(climate.air_c - 0.5, tuple(lines), DARK, 0.9)
    return Thing((Part(Sheet(0.5 * length_m, height_m + 0.1), wire, yaw=math.pi / 2),))
