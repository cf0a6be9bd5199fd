# SPDX-License-Identifier: Apache-2.0
"""The drive: traffic that comes and goes, actors that move as pure functions of time."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.actors import Walker
from kd_perception.world.classes import CAR, PERSON
from kd_perception.world.climate import draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.drive import Drive, Lane, Sway
from kd_perception.world.people import draw_person
from kd_perception.world.scene import BLOCK_M
from kd_perception.world.vehicles import draw_car

CLIMATE = draw_climate(np.random.default_rng(0), night_share=1.0)
CONFIG = WorldConfig(height=48, width=64)


def lane(approach_m_s):
    car = draw_car(np.random.default_rng(1), CLIMATE, 5, moving=True)
    return Lane(car, -2.0, np.pi, approach_m_s, 50.0, Sway(0.0, 1.0, 0.0))


def test_oncoming_car_nears_passes_and_comes_again():
    z = [lane(13.0).at(t, 100.0)[1].position[2] - 100.0 for t in np.arange(0.0, 20.0, 0.1)]
    steps = np.diff(z)
    assert min(z) < -15.0
    assert max(z) > 100.0
    np.testing.assert_allclose(steps[steps < 0], -1.3, atol=1e-6)
    assert (steps > 0).sum() == 2
    assert lane(13.0).at(10.0, 0.0)[1].position == pytest.approx(
        lane(13.0).at(20.0, 0.0)[1].position
    )


def test_leading_car_keeps_its_distance():
    z = [lane(0.0).at(t, 3.0 * t)[1].position[2] - 3.0 * t for t in (0.0, 5.0, 50.0)]
    assert z == pytest.approx([50.0] * 3)


def test_car_stands_on_the_ground_and_is_one_object():
    solids, patch = lane(0.0).at(0.0, 0.0)
    assert {solid.label for solid in solids} == {CAR}
    assert {solid.instance for solid in solids} == {5}
    corners = np.concatenate([solid.corners for solid in solids])
    assert corners[:, 1].max() == pytest.approx(0.0, abs=0.05)
    assert 1.3 < -corners[:, 1].min() < 2.7
    assert np.ptp(corners[:, 2]) == pytest.approx(2 * patch.half_length_m, rel=0.1)


def test_walker_returns_and_looks_where_it_goes():
    person = draw_person(np.random.default_rng(2), CLIMATE, 9)
    walker = Walker(person, (1.0, 0.0, 10.0), (0.0, 1.5), turn_s=4.0, phase=0.3)

    def state(time_s):
        solids = walker.solids(time_s)
        assert {solid.label for solid in solids} == {PERSON}
        return solids[0].position[2], solids[0].yaw

    assert state(2.0)[0] == pytest.approx(13.0)
    assert state(6.0)[0] == pytest.approx(13.0)
    assert state(8.0)[0] == pytest.approx(10.0)
    assert state(2.0)[1] == pytest.approx(0.0)
    assert abs(state(6.0)[1]) == pytest.approx(np.pi)


def test_person_has_feet_on_the_ground_in_every_phase():
    for seed in range(20):
        person = draw_person(np.random.default_rng(seed), CLIMATE, 1)
        for phase in np.linspace(0.0, 6.3, 7):
            solids = person.solids((0.0, 0.0, 5.0), 0.4, float(phase))
            corners = np.concatenate([solid.corners for solid in solids])
            assert -0.2 < corners[:, 1].max() < 0.12
            assert -corners[:, 1].min() == pytest.approx(person.height_m, rel=0.06)


def test_blocks_are_drawn_alone_and_lie_one_after_the_other():
    first, second = Drive(CONFIG, 3), Drive(CONFIG, 3)
    second.street.block(7)
    one, other = first.street.block(2), second.street.block(2)
    assert [s.position for s in one.solids] == [s.position for s in other.solids]
    z = np.array([s.position[2] for s in one.solids])
    assert (z > 2 * BLOCK_M - 8.0).mean() == 1.0
    assert np.median(z) < 3 * BLOCK_M
    numbers = {s.instance // 1000 for s in one.solids if s.instance}
    assert numbers == {2}


def test_instances_of_traffic_are_apart_from_those_of_the_street():
    drive = Drive(CONFIG, 3)
    traffic = {s.instance for solids, _ in drive.traffic(0.0) for s in solids}
    street = {s.instance for n in range(3) for s in drive.street.block(n).solids}
    assert traffic
    assert not traffic & street
