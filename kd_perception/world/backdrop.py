# SPDX-License-Identifier: Apache-2.0
"""What has no class: buildings, blind walls, trees, hedges, poles, signs, boxes, machines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.geometry import Solid
from kd_perception.world.materials import Facade, Leaves, Plain, Strokes
from kd_perception.world.shapes import Ellipsoid, Sheet, Vector, ball, box, prism


def _facade(rng: np.random.Generator, climate: Climate, *, blind: bool) -> Facade:
    lit_share = rng.uniform(0.0, 0.5)
    return Facade(
        wall_c=climate.wall_c + rng.normal(0.0, 1.5),
        window_c=climate.air_c + rng.uniform(-3.0, 4.0),
        lit_k=rng.uniform(0.0, 10.0),
        grain_k=rng.uniform(0.15, 0.8),
        spacing_m=(0.0 if blind else rng.uniform(1.4, 3.4), rng.uniform(2.4, 3.6)),
        share=(rng.uniform(0.15, 0.75), rng.uniform(0.35, 0.8)),
        lit=rng.uniform(size=(64, 64)) < lit_share,
        offset_m=rng.uniform(0.0, 5.0),
        course_m=rng.uniform(0.3, 3.0) if rng.uniform() < 0.5 else 0.0,
        kind=int(rng.integers(4)),
    )


def draw_building(
    rng: np.random.Generator, climate: Climate, side: float, edge_m: float, z: float, length: float
) -> list[Solid]:
    """A house whose front stands `edge_m` from the middle of the street."""
    depth, low = rng.uniform(3.0, 8.0), rng.uniform() < 0.3
    height = rng.uniform(2.2, 4.5) if low else rng.uniform(5.0, 18.0)
    surface = _facade(rng, climate, blind=rng.uniform() < (0.6 if low else 0.2))
    position = (side * (edge_m + depth), 0.0, z + length / 2)
    solids = [Solid(box(depth, height, length / 2), surface, position, absorptance=0.7)]
    if rng.uniform() < 0.35:
        ridge = height + rng.uniform(1.0, 3.0)
        profile = [(-depth - 0.3, height), (depth + 0.3, height), (0.0, ridge)]
        roof = Plain(climate.air_c + rng.uniform(-3.0, 5.0), rng.uniform(0.75, 0.95), 0.4, 3.0)
        shape = prism(profile, length / 2 + 0.2)
        solids.append(Solid(shape, roof, position, np.pi / 2, absorptance=0.7))
    return solids


def draw_wall(
    rng: np.random.Generator, climate: Climate, position: Vector, length_m: float
) -> list[Solid]:
    """A garden wall, hedge or fence line along the street."""
    height = rng.uniform(0.4, 2.4)
    if rng.uniform() < 0.5:
        surface: Plain | Facade = _facade(rng, climate, blind=True)
    else:
        surface = Plain(climate.leaf_c + rng.normal(0, 0.6), 0.95, rng.uniform(0.4, 1.2), 12.0, 3)
    shape = box(rng.uniform(0.1, 0.5), height, length_m / 2)
    return [Solid(shape, surface, position, rng.normal(0.0, 0.02), absorptance=0.6)]


def draw_tree(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    """A trunk with a crown of one to four overlapping balls, or bare branches."""
    trunk_m, trunk = rng.uniform(0.08, 0.3), _bark(rng, climate)
    height = rng.uniform(2.0, 4.5)
    solids = [Solid(box(trunk_m, height, trunk_m), trunk, position, rng.uniform(0, 1.5))]
    if rng.uniform() < 0.25:
        return solids + _branches(rng, trunk, position)
    spread = rng.uniform(1.0, 3.5)
    for _ in range(int(rng.integers(1, 5))):
        offset = rng.normal(0.0, 0.5, 3) * spread
        center = (offset[0], -height - 0.5 * spread + 0.6 * offset[1], offset[2])
        solids.append(_crown(rng, climate, position, center, spread * rng.uniform(0.6, 1.0)))
    return solids


def _bark(rng: np.random.Generator, climate: Climate) -> Plain:
    return Plain(climate.air_c + rng.normal(0.0, 1.5), 0.95, 0.4, 15.0, 2)


def _branches(rng: np.random.Generator, bark: Plain, position: Vector) -> list[Solid]:
    sheets = []
    for _ in range(int(rng.integers(1, 4))):
        lines, radii = [(0.0, 1.5, rng.normal(0.0, 0.4), 4.5)], [0.12]
        for _ in range(int(rng.integers(4, 12))):
            base = rng.uniform(1.5, 4.5)
            tip = (rng.uniform(-2.3, 2.3), base + rng.uniform(0.3, 2.5))
            lines.append((rng.normal(0.0, 0.3), base, *tip))
            radii.append(rng.uniform(0.015, 0.07))
        surface = Strokes(bark.temperature_c, 0.95, tuple(lines), tuple(radii))
        sheets.append(Solid(Sheet(2.4, 7.0), surface, position, rng.uniform(-1.5, 1.5)))
    return sheets


def _crown(
    rng: np.random.Generator, climate: Climate, position: Vector, center: Vector, radius_m: float
) -> Solid:
    surface = Leaves(
        climate.leaf_c + rng.normal(0.0, 0.5),
        rng.uniform(0.2, 1.3),
        rng.uniform(0.08, 0.3),
        int(rng.integers(4)),
    )
    shape = ball(center, (radius_m, radius_m * rng.uniform(0.6, 1.0), radius_m))
    return Solid(shape, surface, position, rng.uniform(0.0, 3.0), absorptance=0.4)


def draw_bush(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    """A bush on the ground."""
    radius = rng.uniform(0.3, 1.2)
    return [_crown(rng, climate, position, (0.0, -0.5 * radius, 0.0), radius)]


def draw_tree_line(rng: np.random.Generator, climate: Climate, z: float) -> list[Solid]:
    """A row of trees across the end of the view."""
    solids = []
    for x in np.arange(-40.0, 41.0, 5.0):
        radius = rng.uniform(2.5, 7.0)
        position = (x + rng.normal(0, 1.5), 0.0, z + rng.normal(0.0, 4.0))
        center = (0.0, -rng.uniform(0.3, 1.0) * radius, 0.0)
        solids.append(_crown(rng, climate, position, center, radius))
    return solids


def _pole(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    height, width = rng.uniform(2.5, 8.0), rng.uniform(0.04, 0.14)
    surface = Plain(climate.air_c + rng.normal(0.0, 2.0), rng.uniform(0.6, 0.95), 0.2)
    solids = [Solid(box(width, height, width), surface, position)]
    if rng.uniform() < 0.5:
        lamp = Plain(climate.air_c + rng.uniform(-2.0, 18.0), 0.9, 0.3)
        head = ball((rng.uniform(-0.9, 0.9), -height, 0.0), (0.3, 0.12, 0.15))
        solids.append(Solid(head, lamp, position))
    return solids


def _bollard(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    surface = Plain(climate.air_c + rng.normal(0.0, 3.0), 0.93, 0.3)
    width = rng.uniform(0.05, 0.16)
    return [Solid(box(width, rng.uniform(0.5, 1.3), width), surface, position)]


def _sign(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    height, width = rng.uniform(1.2, 3.2), rng.uniform(0.2, 0.7)
    surface = Plain(climate.air_c + rng.normal(-0.5, 1.5), rng.uniform(0.6, 0.92), 0.2)
    yaw = rng.uniform(-0.5, 0.5)
    plate = box(width, rng.uniform(0.3, 1.0), 0.02, base_m=height)
    return [
        Solid(box(0.03, height, 0.03), surface, position, yaw),
        Solid(plate, surface, position, yaw),
    ]


def _crate(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    warm = rng.uniform() < 0.25
    temperature = climate.air_c + (rng.uniform(2.0, 14.0) if warm else rng.normal(0.0, 2.5))
    stripe = rng.uniform(0.1, 0.6) if rng.uniform() < 0.5 else 0.0
    surface = Plain(
        temperature, 0.9, rng.uniform(0.1, 1.0), 8.0, 2, stripe_m=stripe, stripe_k=rng.normal(0, 1)
    )
    shape = box(rng.uniform(0.15, 1.3), rng.uniform(0.3, 2.2), rng.uniform(0.15, 1.3))
    return [Solid(shape, surface, position, rng.uniform(-0.8, 0.8))]


def _blob(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    """A rounded thing about as tall as a person that is none: bag, bin, statue, machine."""
    surface = Plain(climate.air_c + rng.normal(0.0, 3.0), 0.95, 0.5, limb_k=rng.uniform(0, 2))
    height, width = rng.uniform(0.3, 1.2), rng.uniform(0.15, 0.6)
    shape: Ellipsoid = ball((0.0, -0.7 * height, 0.0), (width, height, width))
    return [Solid(shape, surface, position)]


_CLUTTER: tuple[Callable[[np.random.Generator, Climate, Vector], list[Solid]], ...] = (
    _pole,
    _bollard,
    _sign,
    _crate,
    _blob,
)


def draw_clutter(rng: np.random.Generator, climate: Climate, position: Vector) -> list[Solid]:
    """One thing that has no class but stands where classed things stand."""
    kind = int(rng.choice(len(_CLUTTER), p=(0.3, 0.15, 0.2, 0.25, 0.1)))
    return _CLUTTER[kind](rng, climate, position)
