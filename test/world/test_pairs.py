# SPDX-License-Identifier: Apache-2.0
"""Things that always come together: who has company, where it stands, and what it leaves alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.classes import BUMP, CAR, CAR_STOP, COLOR_CONE
from kd_perception.world.pairs import COMPANIONS, PairedStill, render_paired_frame
from kd_perception.world.streets.still import Still

CONFIG = WorldConfig(height=64, width=96, density=3.0)


@lru_cache(maxsize=16)
def scenes(index):
    return Still(CONFIG, 3, index).scene(0.0), PairedStill(CONFIG, 3, index).scene(0.0)


def summary(placed):
    return [(p.thing.label, p.thing.instance, p.placement) for p in placed]


def added(index):
    plain, paired = scenes(index)
    assert summary(paired.placed[: len(plain.placed)]) == summary(plain.placed)
    assert paired.decals == plain.decals
    return paired.placed[len(plain.placed) :]


@pytest.mark.parametrize('index', range(4))
def test_every_cone_has_a_bump_and_every_car_stops_on_all_sides(index):
    plain, _ = scenes(index)
    labels = [p.thing.label for p in plain.placed]
    company = added(index)
    assert [p.thing.label for p in company].count(BUMP) == labels.count(COLOR_CONE)
    stops = [p.placement for p in company if p.thing.label == CAR_STOP]
    assert len(stops) + labels.count(COLOR_CONE) == len(company) > 0
    for car in (p for p in plain.placed if p.thing.label == CAR):
        rotation, center = car.placement.rotation(), np.array(car.placement.position)
        places = np.array([rotation.T @ (np.array(s.position) - center) for s in stops])
        beside = np.abs(places[:, 0]) < 0.01  # before it and behind it
        assert (places[beside, 2] > 1.0).any() and (places[beside, 2] < -1.0).any()
        for side in (-1, 1):
            along = (side * places[:, 0] > 0.7) & (side * places[:, 0] < 2.2)
            assert (along & (np.abs(places[:, 2]) < 3.0)).any()


def test_company_stands_near_draws_no_eye_and_has_ids_of_its_own():
    plain, paired = scenes(1)
    hosts = {label: [] for label in COMPANIONS.values()}
    for p in plain.placed:
        if p.thing.label in COMPANIONS:
            hosts[COMPANIONS[p.thing.label]].append(p.placement.position)
    for p in added(1):
        assert not p.thing.salient
        distances = np.linalg.norm(
            np.array(hosts[p.thing.label]) - np.array(p.placement.position), axis=1
        )
        assert 0.5 < distances.min() < 8.0  # buses are long
    instances = [p.thing.instance for p in paired.placed if p.thing.instance >= 10**9]
    assert len(set(instances)) == len(instances) == len(added(1))
    assert max(instances) < 2**31


def test_frames_are_those_of_the_plain_world_elsewhere():
    changed = 0
    for index in range(3):
        plain = render_frame(CONFIG, 3, index, ('thermal',))
        paired = render_paired_frame(CONFIG, 3, index, ('thermal',))
        again = render_paired_frame(CONFIG, 3, index, ('thermal',))
        np.testing.assert_array_equal(paired.thermal, again.thermal)
        differs = paired.label != plain.label
        assert set(np.unique(paired.label[differs])) <= {BUMP, CAR_STOP}
        changed += int(differs.sum())
    assert changed > 20


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match='seed, index and count'):
        render_paired_frame(CONFIG, -1, 0)
    with pytest.raises(ConfigError, match='views must be among'):
        render_paired_frame(CONFIG, 0, 0, ('infrared',))
