# SPDX-License-Identifier: Apache-2.0
"""What lies flat on the ground: repairs, manholes, drains, puddles, fallen leaves, arrows."""

from __future__ import annotations

import math
from typing import Final

from kd_perception.world.materials.base import Color
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.solids import Placement
from kd_perception.world.streets.site import BLOCK_M, Site
from kd_perception.world.streets.styles import CAR_PARK, CITY

_IRON: Final[Color] = (0.07, 0.065, 0.06)
_OIL: Final[Color] = (0.04, 0.04, 0.04)
_PAINT: Final[Color] = (0.5, 0.5, 0.48)
_ARROW_SHARE: Final = {CITY: 0.5, CAR_PARK: 0.7}


def add_ground_marks(site: Site) -> None:
    """Scatter marks over a block; some are warm or cold."""
    reach = site.plan.edge_m + 1.0
    for _ in range(site.count(7.0, 14)):
        a = site.rng.uniform(size=8).tolist()
        u, z = reach * (2.0 * a[0] - 1.0), site.start_m + BLOCK_M * a[1]
        turn = math.pi * a[2] if a[3] < 0.3 else 0.0
        site.block.decals.append(_mark(site, site.terrain.place(u, z, turn), a[3:]))
    if site.rng.uniform() < _ARROW_SHARE.get(site.plan.kind, 0.0):
        _add_arrow(site)


def _mark(site: Site, place: Placement, a: list[float]) -> Decal:
    """One mark from five numbers of 0 to 1, the first of which decides about its kind."""
    position, yaw = place.position, place.yaw
    half_u, half_z = 0.2 + 1.6 * a[1] ** 2, 0.3 + 4.0 * a[2] ** 2
    warm_k, tone = 3.0 * (a[3] - 0.5), 0.03 + 0.05 * a[4]
    dark, wetness = (tone, tone, tone), site.climate.wetness
    if a[0] < 0.3:
        return Decal(position, yaw, half_u, half_z, warm_k, dark, 0.35)
    if a[0] < 0.5:
        return Decal(position, yaw, half_u, half_z, warm_k, dark, 0.8, softness=0.06)
    if a[0] < 0.65:
        manhole_k = 5.0 * a[3] - 1.0
        return Decal(position, yaw, 0.32, 0.32, manhole_k, _IRON, 0.9, softness=0.15)
    if a[0] < 0.82 and wetness > 0.25:
        return Decal(position, yaw, half_u, half_z, -0.3, dark, 0.3, wetness)
    leaf = site.plan.tree_color
    brown = (0.6 * leaf[0] + 0.05, 0.5 * leaf[1] + 0.03, leaf[2])
    litter = _OIL if site.plan.kind == CAR_PARK else brown
    return Decal(position, yaw, half_u, 0.6 * half_z, 0.4, litter, 0.3, softness=0.9)


def _add_arrow(site: Site) -> None:
    """An arrow on the lane: a shaft and a head that is a square on its corner."""
    a, b = site.rng.uniform(size=2).tolist()
    side = 1.0 if a < 0.5 else -1.0
    u, z = 0.5 * side * site.plan.ground.half_width_m, site.start_m + BLOCK_M * b
    if site.plan.in_gap(z - 3.0, z + 3.0):
        return
    paint_k = site.plan.ground.paint_k
    shaft, head = site.terrain.place(u, z), site.terrain.place(u, z + 1.5 * side, 0.25 * math.pi)
    for place, half_u, half_z in ((shaft, 0.09, 1.4), (head, 0.27, 0.27)):
        site.block.decals.append(
            Decal(place.position, place.yaw, half_u, half_z, paint_k, _PAINT, 0.85, softness=0.08)
        )
