# SPDX-License-Identifier: Apache-2.0
"""Vehicles, bikes, furniture and animals: size, place, heat and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from thing_views import ORIGIN, cool_day, same, size, view

from kd_perception.world.classes import (
    BIKE,
    BUMP,
    CAR,
    CAR_STOP,
    COLOR_CONE,
    CURVE,
    GUARDRAIL,
    UNLABELED,
)
from kd_perception.world.climate import Climate
from kd_perception.world.scenes.solids import Placement
from kd_perception.world.things.animals import ANIMALS, draw_animal
from kd_perception.world.things.bikes import BICYCLES, MOTOR_BIKES, draw_bike
from kd_perception.world.things.bodies import VEHICLES
from kd_perception.world.things.furniture import (
    draw_bump,
    draw_car_stop,
    draw_cone,
    draw_curb_piece,
    draw_guardrail,
)
from kd_perception.world.things.people import draw_person
from kd_perception.world.things.vehicles import draw_car


@pytest.fixture(scope='module')
def climate() -> Climate:
    return cool_day()


DRAWS = {
    'car': lambda rng, climate: [draw_car(rng, climate, 5, moving=True).at(ORIGIN)],
    'person': lambda rng, climate: draw_person(rng, climate, 5).placed(ORIGIN, 0.3),
    'bike': lambda rng, climate: [draw_bike(rng, climate, 5).at(ORIGIN)],
    'cone': lambda rng, climate: [draw_cone(rng, climate, 5).at(ORIGIN)],
    'rail': lambda rng, climate: [draw_guardrail(rng, climate, 4.0, 5).at(ORIGIN)],
    'animal': lambda rng, climate: draw_animal(rng, climate, 5).placed(ORIGIN, 0.3),
}


@pytest.mark.parametrize('name', DRAWS)
def test_draws_depend_on_the_stream_alone(name, climate):
    one, again, other = (DRAWS[name](np.random.default_rng(s), climate) for s in (3, 3, 4))
    assert same(one, again)
    assert len(one) != len(other) or not same(one, other)


@pytest.mark.parametrize('kind', VEHICLES)
def test_cars_stand_on_the_ground_within_their_size(kind, climate):
    for seed in range(6):
        car = draw_car(np.random.default_rng(seed), climate, 1, moving=False, kind=kind)
        low, high = size([car.thing])
        assert high[1] == pytest.approx(0.0, abs=0.02)
        assert 1.3 < -low[1] < 3.4
        assert high[2] - low[2] == pytest.approx(2.0 * car.half_length_m, abs=0.05)
        assert high[0] < car.half_width_m + 0.2


@pytest.mark.parametrize('kind', VEHICLES)
def test_cars_show_windows(kind, climate):
    car = draw_car(np.random.default_rng(2), climate, 7, moving=False, kind=kind)
    seen = view([car.at(Placement((0.0, 0.0, 14.0), 2.6))], climate)
    mine = seen.instance == 7
    assert mine.sum() > 1000
    assert np.all(seen.label[mine] == CAR)
    assert 0.02 < seen.glass[mine].mean() < 0.6


def test_all_kinds_of_cars_are_drawn(climate):
    rng = np.random.default_rng(0)
    kinds = {draw_car(rng, climate, 1, moving=False).kind for _ in range(400)}
    assert kinds == set(VEHICLES)


def test_running_cars_are_warm_and_cold_ones_are_not(climate):
    def temperatures(moving: bool, cold: bool) -> np.ndarray:
        rng = np.random.default_rng(4)
        seen = [
            view(
                [
                    draw_car(rng, climate, 1, moving=moving, cold=cold).at(
                        Placement((0, 0, 12), 2.7)
                    )
                ],
                climate,
            )
            for _ in range(8)
        ]
        return np.concatenate([s.temperature_c[s.instance == 1] for s in seen])

    running, cold = temperatures(True, False), temperatures(False, True)
    assert np.percentile(running, 95) - climate.air_c > 8.0
    assert running.std() > 2.5
    assert np.abs(np.percentile(cold, [5, 95]) - climate.ground_mix_c).max() < 3.0


def test_only_warm_cars_warm_the_ground(climate):
    rng = np.random.default_rng(5)
    place = Placement((1.0, 0.0, 9.0), 0.4)
    running = [draw_car(rng, climate, 1, moving=True).decals(place) for _ in range(10)]
    cold = [draw_car(rng, climate, 1, moving=False, cold=True).decals(place) for _ in range(10)]
    assert min(sum(d.warming_k for d in decals) for decals in running) > 3.0
    assert max(abs(d.warming_k) for decals in cold for d in decals) < 2.0
    assert all(decals[0].position == place.position for decals in running)


def test_lamps_are_lit_in_the_dark_only(climate):
    dark = replace(climate, night=True)
    place = Placement((0.0, 0.0, 12.0), np.pi)
    lit, day, parked = (
        view([draw_car(np.random.default_rng(1), c, 1, moving=m).at(place)], c).glow.max()
        for c, m in ((dark, True), (replace(climate, visibility_m=2e4), True), (dark, False))
    )
    assert lit > 5.0
    assert day == parked == 0.0


@pytest.mark.parametrize('kind', [*BICYCLES, *MOTOR_BIKES])
@pytest.mark.parametrize('yaw', [0.0, np.pi / 2])
def test_bikes_show_from_the_front_and_from_the_side(kind, yaw, climate):
    bike = draw_bike(np.random.default_rng(1), climate, 9, kind)
    seen = view([bike.at(Placement((0.0, 0.0, 8.0), yaw))], climate)
    mine = seen.label == BIKE
    assert mine.sum() > (250 if yaw == 0.0 else 1000)
    rows = np.nonzero(mine.any(axis=1))[0]
    assert 0.75 < (rows[-1] - rows[0]) * 8.0 / 400.0 < 1.35


@pytest.mark.parametrize(
    ('draw', 'label', 'length_m'),
    [
        (lambda rng, c: draw_cone(rng, c, 2), COLOR_CONE, None),
        (lambda rng, c: draw_guardrail(rng, c, 6.0, 2), GUARDRAIL, 6.0),
        (lambda rng, c: draw_car_stop(rng, c, 2), CAR_STOP, None),
        (lambda rng, c: draw_bump(rng, c, 3.0, 2), BUMP, None),
        (lambda rng, c: draw_curb_piece(c, 7.0, 5.0, 2), CURVE, 5.0),
    ],
)
def test_furniture_stands_on_the_ground_with_its_label(draw, label, length_m, climate):
    for seed in range(8):
        thing = draw(np.random.default_rng(seed), climate)
        assert (thing.label, thing.instance) == (label, 2)
        low, high = size([thing])
        assert abs(high[1]) < 0.08
        assert low[1] < -0.03
        if length_m is not None:
            assert high[2] - low[2] == pytest.approx(length_m, abs=0.02)
            assert high[0] - low[0] < 0.4


def test_cones_are_orange_or_green_and_colder_things_vary(climate):
    rng = np.random.default_rng(1)
    bodies = [draw_cone(rng, climate, 1).parts[0].material for _ in range(80)]
    colors = {material.color for material in bodies}
    assert any(red > 3.0 * green for red, green, _ in colors)
    assert any(green > 3.0 * red for red, green, _ in colors)
    assert 0.9 < np.std([m.temperature_c for m in bodies]) < 2.0


@pytest.mark.parametrize('kind', ANIMALS)
def test_animals_are_warm_and_have_no_class(kind, climate):
    animal = draw_animal(np.random.default_rng(2), climate, 6, kind)
    (placed,) = animal.placed(ORIGIN, 0.5)
    assert placed.thing.label == UNLABELED
    assert placed.thing.salient
    assert min(p.material.temperature_c for p in placed.thing.parts) > climate.air_c + 2.0
    assert abs(size([placed.thing])[1][1]) < 0.12
