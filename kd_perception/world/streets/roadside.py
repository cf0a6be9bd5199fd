# SPDX-License-Identifier: Apache-2.0
"""Classed things that stand: curbs, rails, bumps, parked bikes, cones, car stops."""

from __future__ import annotations

import math
from typing import Final

from kd_perception.world.materials.base import Color
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.streets.site import BLOCK_M, Site
from kd_perception.world.things.bikes import draw_bike
from kd_perception.world.things.clutter import draw_rack
from kd_perception.world.things.furniture import (
    draw_bump,
    draw_car_stop,
    draw_cone,
    draw_curb_piece,
    draw_guardrail,
)

_SIDES = (-1.0, 1.0)
_ORANGE: Final[Color] = (0.75, 0.25, 0.03)


def add_roadside(site: Site) -> None:
    """Fill a block with classed things that have no heat of their own."""
    style, density = site.plan.style, site.density
    for index, side in enumerate(_SIDES):
        if site.plan.curbs[index] and density > 0.0:
            _add_curbs(site, side)
        for _ in range(site.count(style.rails * density, 2)):
            _add_rail(site, side)
    for add, mean, most in (
        (_add_bump, 0.45 * style.bumps, 1),
        (_add_bikes, style.bikes, 4),
        (_add_cones, 0.5 * style.cones, 3),
        (_add_car_stop, style.stops, 4),
    ):
        for _ in range(site.count(mean * density, most)):
            add(site)


def _add_curbs(site: Site, side: float) -> None:
    """One stone line per block and side, without the crossing streets."""
    plan, terrain = site.plan, site.terrain
    pieces = math.ceil(BLOCK_M / min(terrain.piece_m, 15.0))
    length, instance = BLOCK_M / pieces, site.next_instance()
    temperature_c = site.climate.road_c + float(site.rng.normal(0.6, 1.0))
    piece = draw_curb_piece(site.climate, temperature_c, length + 0.04, instance)
    for k in range(pieces):
        z = site.start_m + (k + 0.5) * length
        if not plan.in_gap(z - length / 3.0, z + length / 3.0):
            site.put(piece, terrain.place(side * (plan.curb_m + 0.12), z))


def _add_rail(site: Site, side: float) -> None:
    rng, plan, terrain = site.rng, site.plan, site.terrain
    a, b = rng.uniform(size=2).tolist()
    total = 3.0 + 22.0 * a**1.5
    start = site.start_m + (BLOCK_M - total) * b
    pieces = max(math.ceil(total / max(terrain.piece_m, 4.0)), 1)
    length = total / pieces
    rail = draw_guardrail(rng, site.climate, length, site.next_instance())
    u = side * (plan.curb_m + 0.35 + 0.3 * a)
    if site.gaze is not None and abs(u - site.gaze.u_m) < 0.8:
        return
    for k in range(pieces):
        z = start + (k + 0.5) * length
        if not plan.in_gap(z - length / 2.0, z + length / 2.0):
            site.put(rail, terrain.place(u, z))


def _add_bump(site: Site) -> None:
    rng, half = site.rng, site.plan.ground.half_width_m
    place = site.spot(((0.0, 0.0),), 0.0, (6.0, 30.0))
    if place is None or site.plan.in_gap(place[1] - 1.0, place[1] + 1.0):
        return
    width = half - 0.2 if rng.uniform() < 0.7 else 0.45 * half
    bump = draw_bump(rng, site.climate, width, site.next_instance())
    site.put(bump, site.terrain.place(0.0 if width > 0.5 * half else 0.5 * half, place[1]))


def _add_bikes(site: Site) -> None:
    """One or a row of parked bikes; always at a rack where the world is `paired`."""
    rng, plan = site.rng, site.plan
    near, far = plan.curb_m + 0.4, plan.edge_m + 0.4
    place = site.spot(((near, far), (-far, -near)), 1.0, (5.0, 32.0))
    if place is None:
        return
    u, z = place
    a, b = rng.uniform(size=2).tolist()
    turn = 0.5 * math.pi + 0.5 * (a - 0.5) if a < 0.6 else math.pi * round(b)
    count = 1 + int(4 * b**1.5)
    if site.config.paired or b > 0.8:
        rack = site.terrain.upright(u, z + 0.35 * (count - 1), yaw=0.5 * math.pi)
        site.put(draw_rack(rng, site.climate), rack)
    for k in range(count):
        bike = draw_bike(rng, site.climate, site.next_instance())
        lean = 0.12 * float(rng.normal())
        step = 0.7 * k if a < 0.6 else 1.9 * k
        site.put(bike.thing, site.terrain.place(u, z + step, turn + lean))


def _add_cones(site: Site) -> None:
    """One to four cones in a row; always on hatched ground where the world is `paired`."""
    rng, half = site.rng, site.plan.ground.half_width_m
    # A drive leads past, so it needs its lane free.
    edge = (0.9 * half, half + 0.6)
    road = ((-half - 0.6, half + 0.6),) if site.still else (edge, (-edge[1], -edge[0]))
    place = site.spot((*road, (half - 0.2, site.plan.edge_m)), 0.5, (4.5, 26.0))
    if place is None:
        return
    a, b = rng.uniform(size=2).tolist()
    for k in range(1 + int(3.5 * a**1.5)):
        cone = draw_cone(rng, site.climate, site.next_instance())
        spot = site.terrain.place(
            place[0] + 0.5 * k * (b - 0.5), place[1] + 1.6 * k * (0.4 + a), b
        )
        site.put(cone, spot)
        if site.config.paired:
            site.block.decals.append(
                Decal(
                    spot.position,
                    spot.yaw,
                    0.9,
                    0.9,
                    0.3,
                    _ORANGE,
                    0.9,
                    softness=0.1,
                    stripe_m=0.4,
                )
            )


def _add_car_stop(site: Site) -> None:
    plan = site.plan
    near, far = plan.ground.half_width_m - 0.5, plan.edge_m + 2.0
    place = site.spot(((near, far), (-far, -near)), 0.9, (4.5, 24.0))
    if place is None:
        return
    stop = draw_car_stop(site.rng, site.climate, site.next_instance())
    yaw = 0.0 if site.rng.uniform() < 0.5 else 0.5 * math.pi
    site.put(stop, site.terrain.place(*place, yaw + 0.15 * float(site.rng.normal())))
