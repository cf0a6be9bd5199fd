# SPDX-License-Identifier: Apache-2.0
"""Things that no class covers but that stand where classed things stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.strokes import Segment, Strokes
from kd_perception.world.scenes.shapes import Sheet, Vector, ball, box, cone
from kd_perception.world.scenes.solids import Part, Thing
from kd_perception.world.streets.styles import CAMPUS, CAR_PARK, CITY, RURAL, SUBURB
from kd_perception.world.things.posts import (
    DARK,
    STEEL,
    cold_matter,
    draw_pole,
    draw_sign,
    signal_color,
)


def _bollard(rng: np.random.Generator, climate: Climate) -> Thing:
    """A row of bollards along the street."""
    a = rng.uniform(size=7).tolist()
    tone = 0.1 + 0.5 * a[3] ** 2
    matter = cold_matter(climate, a, (tone, tone, tone))
    shape = cone(0.05 + 0.08 * a[4], 0.05, 0.5 + 0.6 * a[5], 6)
    count, step = 1 + int(4 * a[6]), 1.2 + a[4]
    return Thing(tuple([Part(shape, matter, (0.0, 0.0, k * step)) for k in range(count)]))


def _bin(rng: np.random.Generator, climate: Climate) -> Thing:
    a = rng.uniform(size=6).tolist()
    matter = cold_matter(climate, a, signal_color(a[3], 0.25))
    if a[4] < 0.5:
        return Thing((Part(cone(0.22 + 0.1 * a[5], 0.26, 0.8 + 0.3 * a[4]), matter),))
    body = Part(box(0.3, 1.03, 0.35), matter)
    return Thing((body, Part(box(0.32, 0.07, 0.38, 1.03), matter)))


def _cabinet(rng: np.random.Generator, climate: Climate) -> Thing:
    """A switch cabinet, a box or a pile; a quarter of them is warm."""
    a = rng.uniform(size=10).tolist()
    tone = 0.08 + 0.35 * a[3]
    matter = Plain(
        climate.air_c + (2.0 + 6.0 * a[4] if a[5] < 0.25 else 5.0 * (a[4] - 0.55)),
        (tone, tone * (0.7 + 0.3 * a[6]), tone * (0.5 + 0.5 * a[6])),
        0.9,
        0.15 + 0.6 * a[7],
        8.0,
        2,
        stripe_m=0.15 + 0.4 * a[8] if a[9] < 0.4 else 0.0,
        stripe_k=1.2 * (a[0] - 0.5),
        stripe_color=(0.7 * tone, 0.65 * tone, 0.6 * tone),
    )
    shape = box(0.15 + 0.6 * a[0], 0.35 + 1.5 * a[1], 0.15 + 0.7 * a[2])
    return Thing((Part(shape, matter, yaw=1.6 * (a[8] - 0.5)),))


def _vending_machine(rng: np.random.Generator, climate: Climate) -> Thing:
    """Lit and warm, about as tall as a person."""
    a = rng.uniform(size=6).tolist()
    body = Part(box(0.4, 1.83, 0.5), cold_matter(climate, a, signal_color(a[3], 0.8)))
    front = Plain(
        climate.air_c + 1.0 + 4.0 * a[4],
        (0.7, 0.7, 0.68),
        0.85,
        0.8,
        30.0,
        1,
        stripe_m=0.2,
        stripe_k=0.6,
        stripe_color=(0.5, 0.2, 0.15),
        glow=0.25 if climate.night else 0.0,
    )
    pane = box(0.02, 1.0, 0.44, 0.7)
    side = 0.41 if a[5] < 0.5 else -0.41
    return Thing((body, Part(pane, front, (side, 0.0, 0.0))))


def _bench(rng: np.random.Generator, climate: Climate) -> Thing:
    a = rng.uniform(size=5).tolist()
    wood = cold_matter(climate, a, (0.2, 0.13, 0.07))
    half = 0.6 + 0.4 * a[3]
    foot = box(0.2, 0.42, 0.04)
    parts = [
        Part(box(0.24, 0.06, half, 0.42), wood),
        Part(foot, wood, (0.0, 0.0, -0.8 * half)),
        Part(foot, wood, (0.0, 0.0, 0.8 * half)),
    ]
    if a[4] < 0.6:
        parts.append(Part(box(0.03, 0.35, half, 0.5), wood, (0.24, 0.0, 0.0)))
    return Thing(tuple(parts))


def _hydrant(rng: np.random.Generator, climate: Climate) -> Thing:
    a = rng.uniform(size=5).tolist()
    iron = cold_matter(climate, a, signal_color(0.0, 0.7 + 0.3 * a[3]))
    head = ball((0.0, -0.62, 0.0), (0.16, 0.16, 0.16))
    return Thing((Part(cone(0.13, 0.11, 0.6), iron), Part(head, iron)))


def _post_box(rng: np.random.Generator, climate: Climate) -> Thing:
    a = rng.uniform(size=5).tolist()
    iron = cold_matter(
        climate, a, signal_color(0.0, 0.8) if a[3] < 0.6 else signal_color(0.5, 0.8)
    )
    return Thing((Part(box(0.06, 0.7, 0.06), iron), Part(box(0.25, 0.65, 0.22, 0.7), iron)))


def _shelter(rng: np.random.Generator, climate: Climate) -> Thing:
    """A bus shelter: posts, roof, a board."""
    a = rng.uniform(size=5).tolist()
    steel = cold_matter(climate, a, (0.2, 0.21, 0.22))
    half, post = 1.5 + 1.2 * a[3], box(0.05, 2.3, 0.05)
    feet = [(x, 0.0, z) for x in (-0.6, 0.6) for z in (-half, half)]
    board = Part(box(0.03, 1.3, 0.8 * half, 0.5), steel, (0.6, 0.0, 0.0))
    roof = Part(box(0.8, 0.12, half + 0.3, 2.3), steel)
    return Thing((*[Part(post, steel, foot) for foot in feet], board, roof))


def _advertisement(rng: np.random.Generator, climate: Climate) -> Thing:
    """A poster wall, sometimes lit and warm from within."""
    a = rng.uniform(size=8).tolist()
    lit = a[3] < 0.5
    poster = Plain(
        climate.air_c + (1.0 + 5.0 * a[0] if lit else 2.0 * a[0] - 1.0),
        (0.1 + 0.7 * a[4], 0.1 + 0.6 * a[5], 0.1 + 0.6 * a[6]),
        0.9,
        0.5,
        4.0,
        3,
        stripe_m=0.7,
        stripe_color=(0.7 * a[6], 0.6 * a[4], 0.7 * a[5]),
        glow=0.15 if lit and climate.night else 0.0,
    )
    frame = cold_matter(climate, a, DARK)
    width = 0.6 + 0.9 * a[7] ** 2
    turn = 0.0 if a[1] < 0.6 else 1.57
    return Thing(
        (
            Part(box(width, 0.5, 0.08), frame, yaw=turn),
            Part(box(width, 1.6, 0.07, 0.5), poster, yaw=turn),
        )
    )


def _statue(rng: np.random.Generator, climate: Climate) -> Thing:
    """Shaped like a person, and cold as stone."""
    a = rng.uniform(size=5).tolist()
    tone = 0.08 + 0.3 * a[3]
    stone = cold_matter(climate, a, (tone, tone, 0.9 * tone), 3.0)
    base = 0.3 + 0.8 * a[4]
    places: tuple[tuple[Vector, Vector], ...] = (
        ((0.0, -base - 0.45, 0.0), (0.2, 0.5, 0.18)),
        ((0.0, -base - 1.15, 0.0), (0.25, 0.42, 0.18)),
        ((0.0, -base - 1.66, 0.0), (0.11, 0.14, 0.12)),
    )
    body = [Part(ball(center, half), stone) for center, half in places]
    return Thing((Part(box(0.35, base, 0.35), stone), *body))


def _bags(rng: np.random.Generator, climate: Climate) -> Thing:
    """Rounded things on the ground: bags, sacks, planters."""
    a = rng.uniform(size=8).tolist()
    tone = 0.04 + 0.4 * a[3] ** 2
    matter = cold_matter(climate, a, (tone, tone, tone))
    parts = []
    for k in range(1 + int(2.5 * a[4])):
        half = 0.2 + 0.25 * a[5 + k]
        shape = ball((0.0, -0.8 * half, 0.0), (half, 0.9 * half, 1.1 * half))
        parts.append(Part(shape, matter, (0.3 * k * (a[0] - 0.5), 0.0, 0.45 * k)))
    return Thing(tuple(parts))


def draw_rack(rng: np.random.Generator, climate: Climate) -> Thing:
    """Hoops between which bikes stand."""
    a = rng.uniform(size=3).tolist()
    hoops: list[Segment] = []
    for k in range(4):
        x = -1.2 + 0.8 * k
        hoops += [(x, 0.0, x, 0.75, 0.03), (x + 0.5, 0.0, x + 0.5, 0.75, 0.03)]
        hoops.append((x, 0.75, x + 0.5, 0.75, 0.03))
    iron = Strokes(climate.air_c + 2.0 * a[0] - 1.2, tuple(hoops), STEEL, 0.8)
    return Thing((Part(Sheet(1.3, 0.8), iron),))


_Draw = Callable[[np.random.Generator, Climate], Thing]

_KINDS: Final[tuple[_Draw, ...]] = (
    draw_pole,
    draw_sign,
    _bollard,
    _bin,
    _cabinet,
    _vending_machine,
    _bench,
    _hydrant,
    _post_box,
    _shelter,
    _advertisement,
    _statue,
    _bags,
)

_SHARES: Final[dict[str, tuple[float, ...]]] = {
    CAMPUS: (16, 16, 10, 5, 12, 5, 10, 1, 1, 1, 4, 6, 6),
    CITY: (12, 18, 16, 8, 9, 5, 4, 3, 3, 5, 8, 2, 7),
    SUBURB: (22, 14, 5, 12, 12, 3, 3, 4, 3, 1, 2, 2, 10),
    RURAL: (32, 22, 6, 3, 14, 1, 2, 0, 1, 2, 2, 1, 8),
    CAR_PARK: (14, 22, 16, 8, 14, 4, 2, 1, 0, 1, 6, 1, 6),
}
_UP_TO: Final = {kind: np.cumsum(s) / sum(s) for kind, s in _SHARES.items()}


def draw_clutter(rng: np.random.Generator, climate: Climate, kind: str) -> Thing:
    """One thing without a class.

    Args:
        rng: stream.
        climate: temperatures of the scene.
        kind: type of the street.
    """
    index = int(np.searchsorted(_UP_TO[kind], rng.uniform(), side='right'))
    return _KINDS[min(index, len(_KINDS) - 1)](rng, climate)
