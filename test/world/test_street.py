# SPDX-License-Identifier: Apache-2.0
"""A street: drawn from its key alone, on the ground, its crossings free, its switches obeyed."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest

from kd_perception.world.classes import BIKE, CAR, COLOR_CONE, CURVE, PERSON
from kd_perception.world.config import WorldConfig
from kd_perception.world.materials.facade import Facade
from kd_perception.world.materials.ground import Ground
from kd_perception.world.materials.strokes import Strokes
from kd_perception.world.streets import inhabitants
from kd_perception.world.streets.site import BLOCK_M, Gaze
from kd_perception.world.streets.street import Street
from kd_perception.world.streets.styles import STYLES

CONFIG = WorldConfig(height=48, width=64)
GAZE = Gaze(0.0, 0.0, 0.5)


@lru_cache(maxsize=64)
def street(k, config=CONFIG, gaze=None):
    return Street(config, (7, k), gaze)


def summary(scene):
    return [(p.thing.label, p.thing.instance, p.placement) for p in scene.placed], scene.decals


def classed(scene, label):
    return [p for p in scene.placed if p.thing.label == label]


def test_street_is_a_function_of_its_key():
    first, second = Street(CONFIG, (7, 1)), Street(CONFIG, (7, 1))
    first.block(5)
    assert summary(first.scene(40.0, 1.0)) == summary(second.scene(40.0, 1.0))
    assert summary(first.scene(40.0, 1.0)) != summary(Street(CONFIG, (7, 2)).scene(40.0, 1.0))


def test_moving_things_move_and_others_stand():
    went = 0
    for k in range(4):
        now, later = (summary(street(k).scene(40.0, t))[0] for t in (0.0, 1.0))
        actors = {0} | {
            p.thing.instance
            for number in range(-1, 5)
            for actor in street(k).block(number).actors
            for p in actor.placed(0.0)
        }
        standing = [row for row in now if row[1] not in actors]
        assert len(standing) > 5
        assert set(standing) <= set(later)
        went += len(set(now) - set(later))
    assert went > 4


def test_all_types_of_street_come_with_their_share():
    kinds = [street(k).plan.kind for k in range(64)]
    assert set(kinds) == set(STYLES)
    assert kinds.count('campus') > kinds.count('car_park')


def test_object_ids_belong_to_one_class():
    for k in range(6):
        labels = {}
        for number in range(-1, 5):
            block = street(k).block(number)
            things = block.placed + [p for a in block.actors for p in a.placed(0.3)]
            for thing, _ in things:
                if thing.instance:
                    assert labels.setdefault(thing.instance, thing.label) == thing.label
        assert len(labels) > 3


def test_classed_things_stand_on_the_ground():
    checked = 0
    for k in range(12):
        terrain = street(k).terrain
        scene = street(k).scene(40.0, 0.7)
        for label in (CAR, PERSON, COLOR_CONE, CURVE):
            for placed in classed(scene, label):
                _, y, z = placed.placement.position
                assert -y == pytest.approx(terrain.height(z), abs=0.05)
                checked += 1
    assert checked > 60


def test_crossing_streets_are_free_of_houses_and_curbs():
    found = 0
    for k in range(64):
        plan = street(k).plan
        for number in range(3):
            if plan.crossing_m == 0.0:
                continue
            for thing, place in street(k).block(number).placed:
                house = isinstance(thing.parts[0].material, Facade)
                if not (house or thing.label == CURVE) or not street(k).terrain.straight:
                    continue
                z = place.position[2]
                if abs(place.position[0]) > plan.edge_m + 25.0:
                    continue
                assert abs(z - plan.crossing_near(z)) > plan.crossing_half_m - 0.5
                found += 1
    assert found > 50


def test_the_ground_knows_the_crossing():
    for k in range(64):
        s = street(k)
        grounds = [p.thing.parts[0].material for p in s.scene(40.0, 0.0).placed]
        grounds = [g for g in grounds if isinstance(g, Ground)]
        assert len(grounds) >= 2
        assert all((g.crossing_half_m > 0.0) == (s.plan.crossing_m > 0.0) for g in grounds)


def test_an_empty_world_has_no_classes():
    config = WorldConfig(height=48, width=64, density=0.0)
    for k in range(6):
        scene = street(k, config).scene(40.0, 0.0)
        assert {p.thing.label for p in scene.placed} == {0}
        assert len(scene.placed) > 10


def test_paired_worlds_let_cones_stand_on_hatched_ground_and_bikes_at_racks():
    config = WorldConfig(height=48, width=64, paired=True, density=2.0)
    cones = 0
    for k in range(10):
        block = street(k, config).block(1)
        hatched = [d.position for d in block.decals if d.stripe_m > 0.0]
        racks = [
            place.position
            for thing, place in block.placed
            if isinstance(thing.parts[0].material, Strokes) and thing.parts[0].shape.height_m < 1
        ]
        for thing, place in block.placed:
            if thing.label == COLOR_CONE:
                cones += 1
                assert min(math.dist(place.position, h) for h in hatched) < 0.01
            if thing.label == BIKE:
                assert min(math.dist(place.position, r) for r in racks) < 8.0
    assert cones > 5
    plain = [d for k in range(10) for d in street(k).block(1).decals]
    assert not any(d.stripe_m > 0.0 for d in plain)


@pytest.mark.parametrize(('share', 'expected'), [(0.0, {False}), (1.0, {True})])
def test_cold_share_decides_about_own_heat(monkeypatch, share, expected):
    asked = set()
    for name in ('draw_car', 'draw_person'):
        real = getattr(inhabitants, name)

        def spy(*args, real=real, cold=False, **keywords):
            asked.add(cold)
            return real(*args, cold=cold, **keywords)

        monkeypatch.setattr(inhabitants, name, spy)
    fresh = Street(WorldConfig(height=48, width=64, cold_share=share), (7, 3))
    for number in range(4):
        fresh.block(number)
    assert asked == expected


def test_single_frames_have_things_in_sight():
    seen = 0
    for k in range(30):
        scene = street(k, CONFIG, GAZE).scene(0.0, 0.0)
        things = classed(scene, CAR) + classed(scene, PERSON)
        terrain = street(k, CONFIG, GAZE).terrain
        near = [p.placement.position for p in things if 4.0 < p.placement.position[2] < 35.0]
        seen += any(abs(x - terrain.center(0.0)) < 0.5 * z + 1.0 for x, _, z in near)
    assert seen > 20


def test_nothing_stands_where_the_camera_of_a_single_frame_is():
    for k in range(30):
        block = street(k, CONFIG, GAZE).block(0)
        moving = [p for actor in block.actors for p in actor.placed(0.0)]
        for thing, place in block.placed + moving:
            x, _, z = place.position
            if thing.label not in (CURVE, 0):
                assert math.hypot(x, z) > 2.0 or abs(x) > 1.2


def test_lamps_stand_along_lit_streets_only():
    with_lamps = [k for k in range(30) if street(k).scene(40.0, 0.0).lamps]
    assert with_lamps
    for k in range(30):
        lamps = street(k).scene(40.0, 0.0).lamps
        assert bool(lamps) <= (street(k).plan.style.lamp_m > 0.0)
        for lamp in lamps:
            height = -lamp.position[1] - street(k).terrain.height(lamp.position[2])
            assert 3.0 < height < 8.0


def test_blocks_hold_what_lies_in_them():
    for k in range(6):
        for number in (0, 3):
            z = [p.placement.position[2] for p in street(k).block(number).placed]
            assert number * BLOCK_M - 12.0 < np.median(z) < (number + 1) * BLOCK_M + 12.0


def test_marks_lie_on_the_ground_of_their_street():
    warm = 0
    for k in range(16):
        terrain, plan = street(k).terrain, street(k).plan
        for decal in street(k).block(2).decals:
            x, y, z = decal.position
            assert -y == pytest.approx(terrain.height(z), abs=0.02)  # one axle of a car
            assert abs(terrain.across(x, z)) < plan.edge_m + 6.0
            warm += decal.warming_k > 1.0
    assert warm > 10


def test_arrows_are_painted_in_cities_and_car_parks():
    def painted(kind):
        return sum(
            decal.color[0] > 0.45 and decal.half_width_m < 0.1
            for k in range(64)
            if street(k).plan.kind == kind
            for decal in street(k).block(2).decals
        )

    assert painted('city') > 0
    assert painted('campus') == 0
