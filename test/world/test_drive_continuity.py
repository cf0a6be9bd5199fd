# SPDX-License-Identifier: Apache-2.0
"""Along a drive nothing appears, vanishes, jumps or runs into another in sight of the camera."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kd_perception.world import Drive, WorldConfig, drive_frame, preset
from kd_perception.world.classes import CAR
from kd_perception.world.rendering.shadows import sun_map, sunlight
from kd_perception.world.rendering.tables import pack
from kd_perception.world.streets.street import Street
from kd_perception.world.streets.styles import CAR_PARK

CONFIG = WorldConfig(height=48, width=64)


def places_ahead(drive, time_s):
    """Where what moves is, relative to the camera: right and ahead [m]."""
    camera = drive.camera(time_s)
    found = {}
    for thing, placement in drive.scene(time_s).placed:
        if thing.instance and thing.moving:
            right, _, ahead = camera.rotation.T @ (placement.position - camera.position)
            found[thing.instance] = (right, ahead)
    return found


@pytest.mark.parametrize('seed', range(8))
def test_movers_neither_appear_nor_vanish_in_sight(seed):
    drive = Drive(CONFIG, seed)
    before = places_ahead(drive, 0.0)
    for time_s in np.arange(0.5, 60.0, 0.5):
        now = places_ahead(drive, time_s)
        for gone, place in (
            (before.keys() - now.keys(), before),
            (now.keys() - before.keys(), now),
        ):
            for instance in gone:
                right, ahead = place[instance]
                assert not (5.0 < ahead < 55.0 and abs(right) < 10.0), (time_s, instance)
        before = now


@pytest.mark.parametrize('seed', range(12))
def test_cars_on_the_road_never_meet(seed):
    drive = Drive(WorldConfig(height=48, width=64, density=2.0), seed)
    for time_s in np.arange(0.0, 40.0, 0.25):
        z = drive._z_m(time_s)
        cars = [lane.placement(time_s, z).position for lane in drive._lanes]
        sides = [lane.yaw for lane in drive._lanes]
        for k, first in enumerate(cars):
            for m in range(k):
                if sides[k] == sides[m]:
                    assert np.hypot(*(np.array(first) - cars[m])[[0, 2]]) > 6.0, time_s


def sunlight_on_the_street(drive, moved_m):
    """How far spots of the ground are lit, with the camera moved ahead."""
    camera = drive.camera(0.0)
    eye = replace(camera, position=camera.position + np.array([0.0, 0.0, moved_m]))
    sun = sun_map(*pack(drive.scene(0.0).placed), drive.climate, eye)
    rng = np.random.default_rng(0)
    spots = zip(rng.uniform(-8.0, 8.0, 3000), rng.uniform(8.0, 30.0, 3000), strict=True)
    terrain = drive.street.terrain
    return np.array([sunlight(sun, (x, -terrain.height(z), z), 0.5)[0] for x, z in spots])


def test_shadows_stay_where_they_are_as_the_camera_moves():
    drives = (Drive(preset('day', height=48, width=64), seed) for seed in range(40))
    lit = ((drive, sunlight_on_the_street(drive, 0.0)) for drive in drives)
    drive, first = next((d, light) for d, light in lit if 0.1 < light.mean() < 0.9)
    for moved_m in (0.05, 0.3, 0.77):
        later = sunlight_on_the_street(drive, moved_m)
        assert (np.abs(later - first) > 0.2).mean() < 0.002


def test_pictures_change_little_in_a_very_short_time():
    """No row of trees and no block of houses comes out of nothing."""
    drive = Drive(preset('night', height=60, width=80), 2)

    def standing(time_s):
        return frozenset(id(p.thing) for p in drive.scene(time_s).placed if not p.thing.moving)

    low = 0.0
    first = standing(low)
    high = next(t for t in np.arange(1.0, 90.0) if standing(t) != first)
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if standing(middle) == first else (low, middle)
    before, after = (drive_frame(drive, t, ()) for t in (low, high))
    assert (before.sky != after.sky).mean() < 0.01
    assert (before.label != after.label).mean() < 0.005


def test_every_aisle_of_a_car_park_has_cars():
    """Aisles, as multiples of the period from the middle, of all car parks with three of them."""
    aisles = Counter()
    for seed in range(150):
        street = Street(CONFIG, (seed,))
        ground = street.plan.ground
        if street.plan.kind != CAR_PARK or round(2.0 * ground.reach_m / ground.period_m) != 3:
            continue
        for number in range(2):
            for thing, placement in street.block(number).placed:
                if thing.label == CAR:
                    aisles[round(placement.position[0] / ground.period_m)] += 1
    assert sum(aisles.values()) > 20
    assert min(aisles[k] for k in (-1, 0, 1)) > 0.15 * sum(aisles.values())


def test_numbers_of_numpy_are_times_too():
    drive = Drive(CONFIG, 1)
    first = drive_frame(drive, np.float64(0.5), ('thermal',))
    np.testing.assert_array_equal(first.thermal, drive_frame(drive, 0.5, ('thermal',)).thermal)
