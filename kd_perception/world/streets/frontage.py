# SPDX-License-Identifier: Apache-2.0
"""What lines a street without having a class: houses, walls, trees, lamps, clutter."""

from __future__ import annotations

import math
from typing import Final

from kd_perception.world.rendering.light import Lamp
from kd_perception.world.streets.site import BLOCK_M, Site
from kd_perception.world.streets.styles import CAMPUS, CAR_PARK, CITY, RURAL, SUBURB
from kd_perception.world.things.backdrop import (
    draw_building,
    draw_fence,
    draw_shed,
    draw_tower,
    draw_wall,
)
from kd_perception.world.things.clutter import draw_clutter
from kd_perception.world.things.plants import draw_bush, draw_hedge, draw_tree_line
from kd_perception.world.things.posts import (
    LAMP_REACH_M,
    draw_lights,
    draw_pole,
    draw_street_lamp,
    draw_wires,
)

_SIDES = (-1.0, 1.0)
_TREE_RADIUS_M = 0.4
_BEYOND_SHARE = 0.4
_WOOD_SHARE: Final = {CAMPUS: 0.9, CITY: 0.3, SUBURB: 0.7, RURAL: 0.6, CAR_PARK: 0.7}


def add_frontage(site: Site) -> None:
    """Fill both sides of a block and the distance behind them."""
    for index, side in enumerate(_SIDES):
        _add_fronts(site, side, site.plan.side_kinds[index])
        _add_street_trees(site, side)
        _add_back_trees(site, side)
        if site.plan.lamps[index] and site.plan.style.lamp_m > 0.0:
            _add_lamps(site, side)
        _add_clutter(site, side)
        _add_distance(site, side)
    _add_wires(site)
    _add_lights(site)


def _add_fronts(site: Site, side: float, factor: float) -> None:
    """Houses side by side, walls, hedges, fences and sheds between them."""
    rng, style, plan = site.rng, site.plan.style, site.plan
    z = site.start_m + 3.0 * float(rng.uniform())
    end = site.start_m + BLOCK_M
    while z < end - 2.0:
        a = rng.uniform(size=5).tolist()
        low, high = style.setback_m
        length = min(5.0 + 16.0 * a[0], end - z)
        edge = side * (plan.edge_m + low + (high - low) * a[1] + 0.25)
        gap = plan.in_gap(z, z + length)
        beside_camera = site.gaze is not None and abs(edge - site.gaze.u_m) < 1.0
        if gap or beside_camera:
            z += 3.0
            continue
        if a[2] < style.house_share * factor:
            _add_house(site, side, edge, z, length, low)
        elif a[3] < style.fence_share:
            _add_fence(site, side, side * (plan.edge_m + 0.35 + low * a[4]), z, length)
        z += length + (1.5 * a[4] if style.house_share > 0.8 else 7.0 * a[4])


def _add_house(
    site: Site, side: float, edge: float, z: float, length: float, setback_m: float
) -> None:
    house = draw_building(site.rng, site.climate, site.plan.style, side, length)
    site.put(house, site.terrain.upright(edge, z + length / 2))
    if setback_m > 1.0 and site.rng.uniform() < site.plan.style.fence_share:
        _add_fence(site, side, side * (site.plan.edge_m + 0.3), z, length)


def _add_fence(site: Site, side: float, edge: float, z: float, length: float) -> None:
    """Something that closes off the street, in pieces short enough to follow it."""
    rng, climate = site.rng, site.climate
    kind = float(rng.uniform())
    if kind < 0.16:
        site.put(draw_shed(rng, climate, side), site.terrain.upright(edge, z + length / 2))
        return
    pieces = max(math.ceil(length / site.terrain.piece_m), 1)
    if kind < 0.5:
        thing = draw_hedge(rng, climate, site.plan.tree_color, length / pieces + 0.1)
    elif kind < 0.78:
        thing = draw_wall(rng, climate, length / pieces + 0.05)
    else:
        thing = draw_fence(rng, climate, length / pieces)
    for k in range(pieces):
        site.put(thing, site.terrain.place(edge, z + (k + 0.5) * length / pieces))


def _tree_allowed(site: Site, u: float, z: float) -> bool:
    near = site.gaze is not None and math.hypot(u - site.gaze.u_m, z) < 5.0
    return not near and not site.plan.in_gap(z - 1.0, z + 1.0) and site.free(u, z, _TREE_RADIUS_M)


def _add_street_trees(site: Site, side: float) -> None:
    """A row with nearly even distances at the curb; crowns may hang over the street."""
    rng, plan = site.rng, site.plan
    count = site.count(plan.style.trees, 8)
    at_curb = rng.uniform() < 0.5 and plan.ground.pavement_m > 1.4
    for k in range(count):
        a = rng.uniform(size=5).tolist()
        out = 0.6 if at_curb else plan.ground.pavement_m + 0.4 + 3.0 * a[0]
        u, z = side * (plan.curb_m + out), site.start_m + (k + 0.7 * a[1]) * BLOCK_M / count
        if not _tree_allowed(site, u, z):
            continue
        site.take(u, z, _TREE_RADIUS_M)
        over = a[2] < plan.style.canopy
        turn = (0.0 if side > 0.0 else math.pi) + a[3] - 0.5 if over else 6.3 * a[3]
        site.put(site.grove.pick(a[4], over=over), site.terrain.upright(u, z, turn))


def _add_back_trees(site: Site, side: float) -> None:
    """Trees and bushes beyond the pavement, up to a wood."""
    rng, plan = site.rng, site.plan
    mean = plan.style.back_trees * (_BEYOND_SHARE if site.beyond else 1.0)
    for _ in range(site.count(mean, 12)):
        a, b, c, d = rng.uniform(size=4).tolist()
        u, z = side * (plan.edge_m + 1.5 + 14.0 * a), site.start_m + BLOCK_M * b
        if not _tree_allowed(site, u, z):
            continue
        bush = c < 0.3
        plant = draw_bush(rng, site.climate, plan.tree_color) if bush else site.grove.pick(d)
        site.put(plant, site.terrain.upright(u, z, 6.3 * c))


def _add_lamps(site: Site, side: float) -> None:
    plan, rng = site.plan, site.rng
    step = plan.style.lamp_m
    height = 3.6 + 3.4 * (plan.lamp_color[2] < 0.5)
    z = math.ceil(site.start_m / step) * step
    while z < site.start_m + BLOCK_M:
        u = side * (plan.curb_m + 0.45)
        if not plan.in_gap(z, z) and site.free(u, z, 0.2):
            site.take(u, z, 0.2)
            lamp = draw_street_lamp(rng, site.climate, plan.lamp_color, height, side)
            site.put(lamp, site.terrain.upright(u, z))
            head = site.terrain.place(u - side * LAMP_REACH_M, z, height_m=height - 0.15)
            power = 0.9 + 0.8 * float(rng.uniform())
            site.block.lamps.append(Lamp(head.position, power, plan.lamp_color))
        z += step


def _add_clutter(site: Site, side: float) -> None:
    plan, rng = site.plan, site.rng
    near, far = plan.curb_m + 0.5, plan.edge_m + 2.5
    zone = (side * near, side * far)
    for _ in range(site.count(0.5 * plan.style.clutter, 8)):
        place = site.spot((zone,), 0.6, (5.0, 50.0))
        if place is not None:
            thing = draw_clutter(rng, site.climate, plan.kind)
            yaw = 0.3 * float(rng.normal())
            site.put(thing, site.terrain.upright(*place, yaw=yaw))


def _add_distance(site: Site, side: float) -> None:
    """Woods and buildings behind what stands at the street."""
    rng, plan = site.rng, site.plan
    a = rng.uniform(size=6).tolist()
    middle = site.start_m + 0.5 * BLOCK_M
    if a[0] < _WOOD_SHARE[plan.kind]:
        height = 8.0 + 11.0 * a[1]
        row = draw_tree_line(rng, site.climate, plan.tree_color, 24.0, height)
        near = 4.0 if plan.kind == CAR_PARK else 16.0
        u = side * (plan.edge_m + near + 40.0 * a[2] ** 2)
        site.put(row, site.terrain.upright(u, middle, yaw=0.5 * math.pi))
    if a[3] < (0.1 if plan.kind == RURAL else 0.6):
        tower = draw_tower(rng, site.climate, plan.kind)
        u = side * (plan.edge_m + 28.0 + 60.0 * a[4])
        site.put(tower, site.terrain.upright(u, middle + 20.0 * (a[5] - 0.5)))


def _add_wires(site: Site) -> None:
    """Poles and the wires between them, as in suburbs and along fields."""
    plan, rng = site.plan, site.rng
    if plan.kind not in (SUBURB, RURAL) or plan.side_kinds[0] < 0.7:
        return
    u = -(plan.edge_m + 0.3)
    wires = draw_wires(site.climate, BLOCK_M, 7.6)
    site.put(wires, site.terrain.upright(u, site.start_m + 0.5 * BLOCK_M))
    if site.free(u, site.start_m, 0.3):
        site.put(draw_pole(rng, site.climate), site.terrain.upright(u, site.start_m))


def _add_lights(site: Site) -> None:
    """Traffic lights before a crossing street."""
    plan = site.plan
    z = plan.crossing_near(site.start_m + 0.5 * BLOCK_M)
    if not site.start_m <= z < site.start_m + BLOCK_M or not plan.ground.zebra:
        return
    ahead = plan.crossing_half_m + 0.8
    for side in _SIDES:
        u = side * (plan.curb_m + 0.5)
        for end in (-ahead, ahead):
            light = draw_lights(site.rng, site.climate)
            site.put(light, site.terrain.upright(u, z + end))
