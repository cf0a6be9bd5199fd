# SPDX-License-Identifier: Apache-2.0
"""Persons and what moves: poses, heat, props, and where they are at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thing_views import ORIGIN, cool_day, size, view

from kd_perception.world.classes import (
    PERSON,
    UNLABELED,
)
from kd_perception.world.climate import SKIN_C, Climate
from kd_perception.world.scenes.solids import Placement
from kd_perception.world.things.actors import Rider, Traveler, Walker
from kd_perception.world.things.bikes import BICYCLES, MOTOR_BIKES, draw_bike
from kd_perception.world.things.bones import Bone, ellipsoids
from kd_perception.world.things.people import draw_person
from kd_perception.world.things.poses import Pose, draw_pose, skeleton
from kd_perception.world.things.vehicles import draw_car


@pytest.fixture(scope='module')
def climate() -> Climate:
    return cool_day()


@given(seed=st.integers(0, 10_000), phase=st.floats(0.0, 6.3))
@settings(max_examples=60)
def test_soles_stand_on_the_ground(seed, phase):
    rng = np.random.default_rng(seed)
    pose, walks = draw_pose(rng)
    if walks:
        pose = pose.stepped(0.4, phase)
    bones = skeleton(pose, 1.7, 1.0)
    soles = [
        max(limbs.ankle[1] + 0.045 * 1.7, limbs.toe[1] + 0.015 * 1.7)
        for limbs in (bones.left, bones.right)
    ]
    assert max(soles) == pytest.approx(0.0, abs=1e-6)
    assert bones.head.origin[1] < -0.25 * 1.7


def test_upright_persons_are_as_tall_as_drawn(climate):
    rng = np.random.default_rng(6)
    for _ in range(10):
        person = replace(draw_person(rng, climate, 1, walking=True), stride=0.0, pose=Pose())
        bare = replace(person, clothing=replace(person.clothing, hat=None), props=())
        low, high = size([placed.thing for placed in bare.placed(ORIGIN)])
        assert -low[1] == pytest.approx(person.height_m, rel=0.04)
        assert high[1] == pytest.approx(0.0, abs=0.03)


def test_legs_swing_with_the_phase(climate):
    person = draw_person(np.random.default_rng(7), climate, 1, walking=True)
    assert person.walks
    lengths = [
        np.ptp([size([person.placed(ORIGIN, phase, moving=True)[0].thing])[k][2] for k in (0, 1)])
        for phase in (0.0, np.pi / 2)
    ]
    assert lengths[1] > lengths[0] + 0.15


def test_faces_are_the_warmest_and_clothes_vary(climate):
    rng = np.random.default_rng(8)
    spreads, warmest = [], []
    for _ in range(20):
        person = draw_person(rng, climate, 3, walking=True)
        seen = view(person.placed(Placement((0.0, 0.0, 6.0), np.pi)), climate)
        mine = seen.temperature_c[seen.instance == 3]
        spreads.append(mine.std())
        warmest.append(np.percentile(mine, 99))
        assert np.all(seen.label[seen.instance == 3] == PERSON)
    span = SKIN_C - climate.air_c
    assert np.median(spreads) > 0.12 * span
    assert climate.air_c + 0.5 * span < np.median(warmest) < SKIN_C + 5.0


def test_cold_persons_are_as_cold_as_the_street(climate):
    rng = np.random.default_rng(9)
    for _ in range(10):
        person = draw_person(rng, climate, 3, cold=True)
        materials = [part.material for part in person.placed(ORIGIN)[0].thing.parts]
        assert max(abs(m.temperature_c - climate.ground_mix_c) for m in materials) < 3.0


def test_what_persons_push_or_sit_on_has_no_class(climate):
    rng = np.random.default_rng(10)
    rain = replace(climate, rain=0.8)
    placed = [draw_person(rng, rain, 4).placed(ORIGIN) for _ in range(60)]
    props = [p.thing for group in placed for p in group[1:]]
    assert len(props) > 15
    assert all(prop.label == UNLABELED and prop.instance == 0 for prop in props)


@pytest.mark.parametrize('kind', [*BICYCLES, *MOTOR_BIKES])
def test_riders_sit_on_the_saddle(kind, climate):
    rng = np.random.default_rng(2)
    bike = draw_bike(rng, climate, 9, kind, running=True)
    person = draw_person(rng, climate, 10, rider=True)
    rider = Rider(person, bike, lambda s: Placement((s, 0.0, 20.0), -np.pi / 2), 4.0)
    below, above = rider.placed(1.5)
    assert below.placement.position == pytest.approx((6.0, 0.0, 20.0))
    low, high = size([above.thing])
    assert bike.saddle_m + 0.5 < -low[1] < bike.saddle_m + 1.25
    assert -0.1 < -high[1] < 0.45


def test_walkers_go_to_and_fro_over_the_ground(climate):
    person = draw_person(np.random.default_rng(3), climate, 1, walking=True)
    walker = Walker(person, (1.0, 5.0), (0.0, 1.2), 4.0, ground=lambda x, z: (0.1 * z, 0.1))
    start, turned, back = (walker.placed(t)[0].placement for t in (0.0, 5.0, 8.0))
    assert start.position == pytest.approx((1.0, -0.5, 5.0))
    assert back.position == pytest.approx(start.position)
    assert turned.position == pytest.approx((1.0, -0.1 * (5.0 + 3.6), 5.0 + 3.6))
    assert np.cos(turned.yaw - start.yaw) == pytest.approx(-1.0)
    assert walker.decals(1.0) == []


@pytest.mark.parametrize('speed', [6.0, -6.0])
def test_travelers_face_the_way_they_go(speed, climate):
    car = draw_car(np.random.default_rng(3), climate, 1, moving=True)

    def circle(s: float) -> Placement:
        turn = s / 30.0
        return Placement((30.0 * np.cos(turn), 0.0, 30.0 * np.sin(turn)), turn)

    traveler = Traveler(car, circle, speed, 4.0)
    now, soon = (np.array(traveler.placed(t)[0].placement.position) for t in (2.0, 2.01))
    ahead = np.array(traveler.placement(2.0).point((0.0, 0.0, 1.0))) - now
    step = soon - now
    assert ahead @ step / np.linalg.norm(step) == pytest.approx(1.0, abs=0.01)
    assert traveler.decals(2.0)[0].position == pytest.approx(tuple(now))


def test_boxes_of_bones_hold_them_tightly():
    rng = np.random.default_rng(4)
    ends = rng.uniform(-1.0, 1.0, (12, 2, 3))
    bones = [Bone(tuple(a), tuple(b), 0.2, 0.1, 1.2) for a, b in ends.tolist()]
    directions = rng.standard_normal((4000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for shape in ellipsoids(bones):
        surface = directions @ np.linalg.inv(shape.to_unit).T + np.array(shape.center)
        found = [surface.min(axis=0), surface.max(axis=0)]
        np.testing.assert_allclose(found, shape.bounds(), atol=0.02)
