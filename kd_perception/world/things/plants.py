# SPDX-License-Identifier: Apache-2.0
"""Trees with trunks and crowns, bare trees, bushes, hedges, distant tree lines."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.leaves import Leaves
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.strokes import Segment, Strokes
from kd_perception.world.scenes.shapes import Hull, Sheet, ball, box, cone
from kd_perception.world.scenes.solids import Part, Thing

_LEAF_ABSORPTANCE = 0.4
_KINDS_OF_TREES = 5


@lru_cache(maxsize=64)
def _trunk(radius_cm: int, height_dm: int) -> Hull:
    """Trunks come in whole centimeters and decimeters, so that few have to be made."""
    return cone(0.01 * radius_cm, 0.006 * radius_cm, 0.1 * height_dm, 6)


def _leaves(climate: Climate, color: Color, numbers: list[float], *, edge: float) -> Leaves:
    """Leaves from six numbers of 0 to 1."""
    warm, clump, ragged, kind, bright, hue = numbers
    bright = 0.6 + 0.9 * bright
    return Leaves(
        climate.leaf_c + 1.6 * (warm - 0.5),
        (
            min(color[0] * bright * (0.8 + 0.5 * hue), 0.5),
            min(color[1] * bright, 0.5),
            color[2] * bright,
        ),
        clump_k=0.2 + 0.5 * clump,
        ragged=0.2 + 0.25 * ragged,
        edge=edge,
        kind=int(4 * kind),
    )


def _bark(climate: Climate, number: float) -> Plain:
    tone = 0.05 + 0.08 * number
    return Plain(
        climate.air_c + 3.0 * (number - 0.35),
        (1.15 * tone, tone, 0.8 * tone),
        0.95,
        0.5,
        15.0,
        2,
        limb_k=0.5,
    )


def draw_tree(
    rng: np.random.Generator,
    climate: Climate,
    color: Color,
    *,
    bare: bool = False,
    lean: tuple[float, float] = (0.0, 0.0),
) -> Thing:
    """A tree.

    Args:
        rng: stream.
        climate: temperatures.
        color: of its leaves.
        bare: whether it has branches without leaves.
        lean: how far its crown stands from above its foot (x, z) [m].
    """
    a = rng.uniform(size=14).tolist()
    spread = 1.7 + 3.0 * a[3] + 0.5 * (abs(lean[0]) + abs(lean[1]))
    height = 2.0 + 2.6 * a[0] + 0.35 * spread
    girth = 0.09 + 0.24 * a[1] ** 1.5
    bark = _bark(climate, a[2])
    trunk = Part(_trunk(round(100 * girth), round(10 * height + 6 * spread)), bark)
    if bare:
        sheets = [_branches(rng, bark, height, 3.0 * a[3] + 0.1 * k) for k in range(2)]
        return Thing((trunk, *sheets), absorptance=_LEAF_ABSORPTANCE)
    leaves = _leaves(climate, color, a[4:10], edge=0.35 + 0.2 * a[10])
    crown = _crown(rng, leaves, 3 + int(3 * a[11]), spread)
    raised = [
        part._replace(offset=(x + lean[0], y - height, z + lean[1]))
        for part in crown
        for x, y, z in (part.offset,)
    ]
    return Thing((trunk, *raised), absorptance=_LEAF_ABSORPTANCE)


def _crown(rng: np.random.Generator, leaves: Leaves, count: int, spread_m: float) -> list[Part]:
    """Overlapping balls; their lowest points hang a little below the origin."""
    numbers = rng.uniform(size=(count, 5))
    angle = 2.0 * np.pi * (np.arange(count) + numbers[:, 0]) / count
    reach = spread_m * (0.25 + 0.4 * numbers[:, 1])
    rise = spread_m * (0.3 + 1.2 * numbers[:, 2])
    size = spread_m * (0.5 + 0.35 * numbers[:, 3])
    flat = 0.7 + 0.4 * numbers[:, 4]
    rows = np.stack([reach * np.cos(angle), -rise, reach * np.sin(angle), size, size * flat], 1)
    return [
        Part(ball((0.0, 0.0, 0.0), (r, high, r)), leaves, (x, y, z))
        for x, y, z, r, high in rows.tolist()
    ]


def _branches(rng: np.random.Generator, bark: Plain, height_m: float, yaw: float) -> Part:
    count = int(rng.integers(6, 13))
    a = rng.uniform(size=(count, 5))
    base = height_m * (0.5 + 0.6 * a[:, 0])
    side, rise = 5.6 * a[:, 1] - 2.8, 0.6 + 2.6 * a[:, 2]
    radius = 0.015 + 0.05 * a[:, 3] ** 2
    lines: list[Segment] = [(0.0, 0.4 * height_m, 0.3 * yaw - 0.4, height_m + 2.6, 0.08)]
    for h, x, up, r in zip(
        base.tolist(), side.tolist(), rise.tolist(), radius.tolist(), strict=True
    ):
        lines.append((0.04 * x, h, x, h + up, r))
        lines.append((0.6 * x, h + 0.6 * up, 0.75 * x, h + 1.4 * up, 0.5 * r))
    material = Strokes(bark.temperature_c, tuple(lines), bark.color)
    return Part(Sheet(2.9, height_m + 4.0), material, yaw=yaw)


class Grove:
    """The trees of one street: a few kinds that come again and again, as along real streets.

    Args:
        rng: stream.
        climate: temperatures of the scene.
        color: of the leaves.
        bare_share: share of trees without leaves.
    """

    def __init__(
        self, rng: np.random.Generator, climate: Climate, color: Color, bare_share: float
    ) -> None:
        """Draw the trees."""
        self._bare_share = bare_share
        reaches = rng.uniform(1.0, 3.2, _KINDS_OF_TREES).tolist()
        self._over = [draw_tree(rng, climate, color, lean=(-reach, 0.0)) for reach in reaches]
        self._upright = [draw_tree(rng, climate, color) for _ in reaches]
        self._bare = [draw_tree(rng, climate, color, bare=True) for _ in range(3)]

    def pick(self, number: float, *, over: bool = False) -> Thing:
        """One of the trees.

        Args:
            number: 0 to 1, decides which.
            over: whether its crown reaches out to -x.
        """
        bare = number < self._bare_share
        kinds = self._bare if bare else self._over if over else self._upright
        return kinds[int(number * 997.0) % len(kinds)]


def draw_bush(rng: np.random.Generator, climate: Climate, color: Color) -> Thing:
    """One to three round bushes that touch."""
    a = rng.uniform(size=10).tolist()
    leaves = _leaves(climate, color, a[:6], edge=0.3)
    parts = []
    for k in range(1 + int(3 * a[6])):
        radius = 0.35 + 0.7 * a[7 + k]
        shape = ball((0.0, -0.6 * radius, 0.0), (radius, 0.9 * radius, radius))
        parts.append(Part(shape, leaves, (0.3 * (a[k] - 0.5), 0.0, 0.9 * k)))
    return Thing(tuple(parts), absorptance=_LEAF_ABSORPTANCE)


def draw_hedge(rng: np.random.Generator, climate: Climate, color: Color, length_m: float) -> Thing:
    """A cut hedge along the street."""
    a = rng.uniform(size=8).tolist()
    leaves = _leaves(climate, color, a[:6], edge=-1.0)
    shape = box(0.25 + 0.35 * a[6], 0.5 + 1.6 * a[7] ** 2, length_m / 2)
    return Thing((Part(shape, leaves),), absorptance=_LEAF_ABSORPTANCE)


def draw_tree_line(
    rng: np.random.Generator,
    climate: Climate,
    color: Color,
    half_width_m: float,
    height_m: float,
) -> Thing:
    """A row of trees far away, as one sheet that stands across."""
    a = rng.uniform(size=6).tolist()
    leaves = _leaves(climate, color, a, edge=-1.0)
    far = Leaves(
        leaves.temperature_c,
        (0.7 * leaves.color[0], 0.7 * leaves.color[1], 0.7 * leaves.color[2]),
        clump_k=0.5 * leaves.clump_k + 0.1,
        top_m=height_m,
        relief_m=0.28 * height_m,
        gloom=0.3,
        kind=leaves.kind,
    )
    sheet = Part(Sheet(half_width_m, 1.9 * height_m), far)
    return Thing((sheet,), absorptance=_LEAF_ABSORPTANCE)
