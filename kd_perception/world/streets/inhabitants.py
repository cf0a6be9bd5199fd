# SPDX-License-Identifier: Apache-2.0
"""Who is out in the street: cars parked and on their way, persons, riders, animals."""

from __future__ import annotations

import math
from dataclasses import replace

from kd_perception.world.streets.site import BLOCK_M, Site
from kd_perception.world.streets.styles import CAR_PARK
from kd_perception.world.things.actors import Rider, Traveler, Walker
from kd_perception.world.things.animals import Animal, draw_animal
from kd_perception.world.things.bikes import draw_bike
from kd_perception.world.things.furniture import draw_car_stop
from kd_perception.world.things.people import Person, draw_person
from kd_perception.world.things.vehicles import draw_car

_CAR_ROOM_M = 2.4
_CROSSING_SPAN_M = 160.0


def add_inhabitants(site: Site) -> None:
    """Fill a block with cars, persons, riders and animals."""
    style, density = site.plan.style, site.density
    for add, mean, most in (
        (_add_parked, 2.0 * style.parked, 14),
        (_add_driven, style.driven if site.gaze is not None else 0.0, 3),
        (_add_crossing_car, 0.8, 2),
        (_add_walker, style.persons, 9),
        (_add_rider, style.riders, 2),
        (_add_animal, style.animals, 2),
    ):
        for _ in range(site.count(mean * density, most)):
            add(site)


def _add_parked(site: Site) -> None:
    """A car at the side of the street, in a bay, or askew on the verge."""
    rng, plan, ground = site.rng, site.plan, site.plan.ground
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    if plan.kind == CAR_PARK:
        _park_in_row(site, side)
        return
    middle = ground.half_width_m + (0.5 * ground.strip_m if ground.strip_m > 0.0 else -0.9)
    # A drive leads past, so it needs its lane free.
    aside = ground.strip_m == 0.0 and (rng.uniform() < 0.5 or not site.still)
    turned = aside and rng.uniform() < 0.6
    near = plan.curb_m + (2.6 if turned else 1.2)
    zone = (near, max(near, plan.edge_m) + 1.5) if aside else (middle - 0.15, middle + 0.2)
    place = site.spot(((side * zone[0], side * zone[1]),), _CAR_ROOM_M, (8.0, 48.0))
    if place is None or plan.in_gap(place[1] - 3.0, place[1] + 3.0):
        return
    yaw = (0.0 if side > 0.0 else math.pi) + float(rng.normal(0.0, 0.05))
    if turned:
        yaw += 0.5 * math.pi * side + float(rng.normal(0.0, 0.2))
    _park(site, *place, yaw)


def _park_in_row(site: Site, side: float) -> None:
    """A car in one of the bays of a car park, often with a stop before its wheels."""
    rng, ground = site.rng, site.plan.ground
    rows = max(round(2.0 * ground.reach_m / ground.period_m), 1)
    a, b, c, d = rng.uniform(size=4).tolist()
    fold = ground.period_m * (int(a * rows) - rows // 2)
    u = fold + side * (ground.half_width_m + 2.55)
    bay = math.floor((site.start_m + BLOCK_M * b) / ground.bay_m)
    z = (bay + 0.5) * ground.bay_m
    if not site.free(u, z, 1.1) or z < site.start_m:
        return
    site.take(u, z, 1.1)
    nose_in = c < 0.6
    yaw = (-side if nose_in else side) * 0.5 * math.pi
    _park(site, u, z, yaw + 0.04 * (d - 0.5))
    if d < 0.5 * min(site.config.density, 1.0):
        stop = draw_car_stop(rng, site.climate, site.next_instance())
        site.put(stop, site.terrain.place(u + side * 2.1, z, 0.5 * math.pi))


def _park(site: Site, u_m: float, z_m: float, yaw: float) -> None:
    car = draw_car(site.rng, site.climate, site.next_instance(), moving=False, cold=site.is_cold())
    placement = site.terrain.place(u_m, z_m, yaw)
    site.put(car.thing, placement)
    site.block.decals += car.decals(placement)


def _add_driven(site: Site) -> None:
    """A car on its way, seen from the front or from behind."""
    rng, half = site.rng, site.plan.ground.half_width_m
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    place = site.spot(((0.42 * side * half, 0.55 * side * half),), 2.6, (8.5, 55.0))
    if place is None:
        return
    car = draw_car(rng, site.climate, site.next_instance(), moving=True, cold=site.is_cold())
    speed = side * float(rng.uniform(0.5, 12.0))
    u, z = place
    site.block.actors.append(Traveler(car, site.terrain.lane(u), speed, z))


def _add_crossing_car(site: Site) -> None:
    rng, plan = site.rng, site.plan
    z = plan.crossing_near(site.start_m + 0.5 * BLOCK_M)
    if not site.start_m <= z < site.start_m + BLOCK_M:
        return
    a, b, c = rng.uniform(size=3).tolist()
    speed = (1.0 if a < 0.5 else -1.0) * (3.0 + 7.0 * b)
    lane = z + math.copysign(0.5 * plan.crossing_half_m, -speed)
    car = draw_car(rng, site.climate, site.next_instance(), moving=True, cold=site.is_cold())
    path = site.terrain.crossing(lane, _CROSSING_SPAN_M)
    site.block.actors.append(Traveler(car, path, speed, 90.0 * (c - 0.5)))


def _person_zones(site: Site) -> tuple[tuple[float, float], ...]:
    plan = site.plan
    pavement = (plan.curb_m + 0.4, plan.edge_m)
    half = plan.ground.half_width_m
    road = (-half, half) if site.still else (-half, -0.8 * half)
    return (pavement, (-pavement[1], -pavement[0]), road)


def _heading(site: Site) -> float:
    """Mostly along the street, either way, sometimes across."""
    turn, sway = float(site.rng.uniform()), float(site.rng.normal())
    if not site.still:
        return math.pi * (turn < 0.5) + 0.06 * sway
    base = 0.0 if turn < 0.4 else math.pi if turn < 0.8 else math.pi * (turn * 10.0 % 2.0)
    return base + 0.25 * sway


def _walker(site: Site, who: Person | Animal, u: float, z: float, speed_m_s: float) -> Walker:
    """One who walks (or stands) from a place in a drawn direction."""
    a, b = site.rng.uniform(size=2).tolist()
    heading = _heading(site) + math.atan(site.terrain.bend(z))
    (x, _, world_z), _, _ = site.terrain.place(u, z)
    velocity = (speed_m_s * math.sin(heading), speed_m_s * math.cos(heading))
    return Walker(
        who,
        (x, world_z),
        velocity,
        turn_s=3.0 + 6.0 * a,
        phase=2.0 * math.pi * b,
        yaw=-heading,
        ground=site.terrain.ground,
    )


def _add_walker(site: Site) -> None:
    """One person, sometimes with company that goes the same way."""
    rng = site.rng
    place = site.spot(_person_zones(site), 0.45, (8.5, 50.0))
    if place is None:
        return
    first: Walker | None = None
    for k in range(1 + (rng.uniform() < 0.25) + (rng.uniform() < 0.08)):
        u, z = place[0] + 0.65 * k, place[1] + 0.4 * k * float(rng.normal())
        person = draw_person(rng, site.climate, site.next_instance(), cold=site.is_cold())
        walker = _walker(site, person, u, z, float(rng.uniform(0.6, 1.7)) * person.walks)
        if first is not None and person.walks:
            velocity, turn_s = first.velocity, first.turn_s
            walker = replace(walker, velocity=velocity, turn_s=turn_s, yaw=first.yaw)
        first = first or walker
        site.block.actors.append(walker)


def _add_rider(site: Site) -> None:
    rng, half = site.rng, site.plan.ground.half_width_m
    edge = (0.85 * half, half + 0.4)
    zones = ((-half - 0.5, half + 0.5),) if site.still else (edge, (-edge[1], -edge[0]))
    place = site.spot(zones, 0.9, (7.5, 45.0))
    if place is None:
        return
    u, z = place
    instance = site.next_instance()
    person = draw_person(rng, site.climate, site.next_instance(), cold=site.is_cold(), rider=True)
    bike = draw_bike(rng, site.climate, instance, running=True)
    speed = float(rng.uniform(1.5, 5.0)) * (1.0 if rng.uniform() < 0.5 else -1.0)
    # A rider stays in his block, which is drawn as long as it is in view.
    room_m = site.start_m + BLOCK_M - z if speed > 0.0 else z - site.start_m
    turn_s = math.inf if site.still else max(room_m, 1.0) / abs(speed)
    site.block.actors.append(Rider(person, bike, site.terrain.lane(u), speed, z, turn_s))


def _add_animal(site: Site) -> None:
    reach = site.plan.edge_m + 4.0
    place = site.spot(((-reach, reach),), 0.5, (4.5, 30.0))
    if place is None:
        return
    animal = draw_animal(site.rng, site.climate, site.next_instance())
    speed = float(site.rng.uniform(0.3, 1.5)) * (site.rng.uniform() < 0.5)
    site.block.actors.append(_walker(site, animal, *place, speed))
