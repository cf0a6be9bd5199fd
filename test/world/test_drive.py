# SPDX-License-Identifier: Apache-2.0
"""Drives and single frames: cameras that move smoothly, traffic that comes and goes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from kd_perception.world.classes import BIKE, CAR, COLOR_CONE, PERSON
from kd_perception.world.climate import draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.streets.drive import Drive
from kd_perception.world.streets.still import Still
from kd_perception.world.streets.terrain import Terrain
from kd_perception.world.streets.traffic import Lane, Sway, draw_sway
from kd_perception.world.things.vehicles import draw_car

CONFIG = WorldConfig(height=48, width=64)
CLIMATE = draw_climate(np.random.default_rng(0), CONFIG)


def lane(approach_m_s):
    car = draw_car(np.random.default_rng(1), CLIMATE, 5, moving=True)
    return Lane(car, Terrain(), -2.0, math.pi, approach_m_s, 50.0, Sway(0.0, 1.0, 0.0))


def test_oncoming_car_nears_passes_and_comes_again():
    times = np.arange(0.0, 20.0, 0.1)
    z = [lane(13.0).placement(t, 100.0).position[2] - 100.0 for t in times]
    steps = np.diff(z)
    assert min(z) < -15.0
    assert max(z) > 100.0
    np.testing.assert_allclose(steps[steps < 0], -1.3, atol=1e-6)
    assert (steps > 0).sum() == 2


def test_leading_car_keeps_its_distance():
    z = [lane(0.0).placement(t, 3.0 * t).position[2] - 3.0 * t for t in (0.0, 5.0, 50.0)]
    assert z == pytest.approx([50.0] * 3)


def test_traffic_is_a_car_with_its_heat_below_it():
    placed, decals = lane(0.0).at(0.0, 0.0)
    assert (placed.thing.label, placed.thing.instance) == (CAR, 5)
    x, _, z = placed.placement.position
    assert decals
    assert all(math.dist((x, z), (d.position[0], d.position[2])) < 3.0 for d in decals)


def test_sway_stays_within_its_amplitude_and_averages_out():
    sway = draw_sway(np.random.default_rng(3), 2.0, 5.0, 9.0)
    values = [sway.at(t) for t in np.arange(0.0, sway.period_s, 0.01)]
    assert 0.9 < max(values) <= 2.0
    assert np.mean(values) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize('seed', range(6))
def test_drive_is_smooth_and_above_its_lane(seed):
    drive = Drive(CONFIG, seed)
    terrain, low, high = drive.street.terrain, *CONFIG.camera_height_m
    cameras = [drive.camera(t) for t in np.arange(0.0, 12.0, 0.1)]
    positions = np.array([camera.position for camera in cameras])
    speeds = np.linalg.norm(np.diff(positions, axis=0), axis=1) / 0.1
    assert speeds.min() > 0.3
    assert speeds.max() < 9.0
    assert np.abs(np.diff(speeds)).max() < 1.0
    for x, y, z in positions:
        assert low - 0.1 < -y - terrain.height(z) < high + 0.1
        assert abs(terrain.across(x, z)) < drive.street.plan.ground.half_width_m + 0.5
    for first, second in pairwise(cameras):
        turn = first.rotation.T @ second.rotation
        assert math.acos(min((np.trace(turn) - 1.0) / 2.0, 1.0)) < 0.05


def test_drive_looks_along_the_street():
    for seed in range(8):
        drive = Drive(CONFIG, seed)
        for t in (0.0, 7.0):
            camera = drive.camera(t)
            z = float(camera.position[2])
            street = np.array([drive.street.terrain.bend(z), 0.0, 1.0])
            ahead = camera.rotation[:, 2]
            assert ahead @ street / np.linalg.norm(street) > math.cos(0.25)


def test_drive_is_a_function_of_seed_and_time():
    one, other = Drive(CONFIG, 4), Drive(CONFIG, 4)
    other.scene(9.0)
    a, b = one.scene(2.0), other.scene(2.0)
    assert [(p.thing.instance, p.placement) for p in a.placed] == [
        (p.thing.instance, p.placement) for p in b.placed
    ]
    np.testing.assert_array_equal(one.camera(2.0).pose, other.camera(2.0).pose)
    assert not np.array_equal(one.camera(2.0).pose, Drive(CONFIG, 5).camera(2.0).pose)


def test_nothing_stands_in_the_way_of_a_drive():
    found = 0
    for seed in range(12):
        drive = Drive(CONFIG, seed)
        terrain = drive.street.terrain
        lane_m = [terrain.across(*drive.camera(t).position[[0, 2]]) for t in range(0, 20, 2)]
        for number in range(4):
            for thing, place in drive.street.block(number).placed:
                if thing.label not in (CAR, PERSON, BIKE, COLOR_CONE):
                    continue
                u = terrain.across(place.position[0], place.position[2])
                assert not min(lane_m) - 0.35 < u < max(lane_m) + 0.35
                found += 1
    assert found > 50


def test_empty_drive_has_no_traffic():
    drive = Drive(WorldConfig(height=48, width=64, density=0.0), 3)
    assert {p.thing.label for p in drive.scene(1.0).placed} == {0}


@pytest.mark.parametrize('kind', [Drive, lambda c, s: Still(c, s, 0)])
def test_noise_differs_by_name_and_time_and_repeats(kind):
    viewpoint = kind(CONFIG, 2)

    def draw(name, time_s):
        return viewpoint.noise_stream(name, time_s).uniform()

    drawn = {draw(n, t) for n in ('thermal', 'lidar') for t in (-0.1, 0.0, 0.1)}
    assert len(drawn) == 6
    assert draw('lidar', 0.1) == draw('lidar', 0.1)


def test_stills_share_nothing():
    poses = {Still(CONFIG, 1, k).camera(0.0).pose.tobytes() for k in range(20)}
    assert len(poses) == 20
    assert len({Still(CONFIG, 1, k).climate for k in range(20)}) == 20
    assert Still(CONFIG, 1, 3).climate == Still(CONFIG, 1, 3).climate


def test_stills_draw_lens_and_height_from_the_configuration():
    config = WorldConfig(height=48, width=64, focal_share=(0.5, 0.6), camera_height_m=(3.0, 3.1))
    for k in range(10):
        still = Still(config, 0, k)
        camera = still.camera(0.0)
        assert 32.0 <= camera.focal_px <= 38.4
        height = -camera.position[1] - still.street.terrain.height(camera.position[2])
        assert height == pytest.approx(3.05, abs=0.051)


def test_some_stills_stand_and_most_move_forward():
    moved = []
    for k in range(40):
        still = Still(CONFIG, 3, k)
        before, now, after = (still.camera(t) for t in (-0.1, 0.0, 0.1))
        step = after.position - now.position
        np.testing.assert_allclose(step, now.position - before.position, atol=0.12)
        moved.append(np.linalg.norm(step) / 0.1)
        if moved[-1] > 0.0:
            assert step[2] > 0.0
    assert 3 < sum(speed == 0.0 for speed in moved) < 20
    assert max(moved) < 13.0
