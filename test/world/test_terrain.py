# SPDX-License-Identifier: Apache-2.0
"""The course of a street: gentle enough, watertight, and what stands on it touches it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.world.materials.ground import Ground
from kd_perception.world.streets.terrain import MIN_RADIUS_M, Terrain, draw_terrain

MAX_SLOPE = 0.07
CURVED = Terrain(swing_m=20.0, swing_period_m=220.0, swing_phase=0.7)
HILLY = Terrain(grade=0.02, wave_slope=0.04, wave_period_m=120.0, wave_phase=1.0)
BOTH = Terrain(20.0, 220.0, 0.7, 0.02, 0.04, 120.0, 1.0)


def plain(z0, z1):
    return Ground(5.0, 6.0, 7.0)


def test_flat_street_is_the_plane():
    place = Terrain().place(2.0, 30.0, 0.4)
    assert place.position == (2.0, 0.0, 30.0)
    assert (place.yaw, place.pitch) == (0.4, 0.0)


def test_drawn_courses_are_gentle_and_varied():
    drawn = [draw_terrain(np.random.default_rng([3, k])) for k in range(200)]
    z = np.arange(-30.0, 300.0, 1.0)
    for terrain in drawn:
        bends = np.array([terrain.bend(v) for v in z])
        curvature = np.gradient(bends, z) / (1.0 + bends**2) ** 1.5
        assert np.abs(curvature).max() <= 1.0 / MIN_RADIUS_M
        assert max(abs(terrain.slope(v)) for v in z) <= MAX_SLOPE
    assert 50 < sum(t.straight for t in drawn) < 150
    assert 50 < sum(t.flat for t in drawn) < 150


@given(st.floats(-8.0, 8.0), st.floats(-20.0, 150.0))
def test_across_undoes_place(u, z):
    (x, _, world_z), _, _ = BOTH.place(u, z)
    assert BOTH.across(x, world_z) == pytest.approx(u, abs=0.05 + 0.02 * abs(u))


@given(st.floats(-8.0, 8.0), st.floats(-20.0, 150.0))
def test_things_stand_on_the_ground_and_lean_with_it(u, z):
    place = BOTH.place(u, z)
    assert -place.position[1] == pytest.approx(BOTH.height(place.position[2]))
    ahead = place.point((0.0, 0.0, 0.05))
    start = math.floor(place.position[2] / 5.0) * 5.0
    if start + 0.1 < place.position[2] < start + 4.9:
        assert -ahead[1] == pytest.approx(BOTH.height(ahead[2]), abs=1e-4)


def test_upright_things_do_not_lean():
    assert HILLY.place(0.0, 12.0).pitch != 0.0
    assert HILLY.upright(0.0, 12.0).pitch == 0.0


@pytest.mark.parametrize('terrain', [Terrain(), CURVED, HILLY, BOTH])
def test_slabs_meet_without_gaps_and_reach_the_horizon(terrain):
    slabs = terrain.slabs(-20.0, 120.0, plain)
    assert slabs[0].placement.position[2] <= -20.0
    for first, second in pairwise(slabs):
        length = first.thing.parts[0].shape.length_m
        assert first.placement.point((3.0, 0.0, length)) == pytest.approx(
            second.placement.point((3.0, 0.0, 0.0)), abs=1e-9
        )
    end = slabs[-1]
    assert end.placement.position[2] >= 120.0
    assert end.thing.parts[0].shape.length_m > 1000.0


@pytest.mark.parametrize('terrain', [CURVED, BOTH])
def test_ground_knows_the_centerline(terrain):
    for slab in terrain.slabs(-20.0, 120.0, plain)[:-1]:
        ground, length = slab.thing.parts[0].material, slab.thing.parts[0].shape.length_m
        for z in np.linspace(0.0, length, 5):
            cubic = ground.center_0 + z * (
                ground.center_1 + z * (ground.center_2 + z * ground.center_3)
            )
            world_z = slab.placement.point((0.0, 0.0, z))[2]
            assert cubic == pytest.approx(terrain.center(world_z), abs=0.02)


def test_lane_goes_along_and_crossing_goes_across():
    lane, across = CURVED.lane(2.0), CURVED.crossing(40.0, 100.0)
    step = np.subtract(lane(10.5).position, lane(9.5).position)
    front = np.subtract(lane(10.0).point((0.0, 0.0, 1.0)), lane(10.0).position)
    assert step @ front / np.linalg.norm(step) == pytest.approx(1.0, abs=1e-3)
    side = np.subtract(across(1.0).position, across(-1.0).position)
    assert (
        abs(side @ np.subtract(CURVED.place(0, 40.5).position, CURVED.place(0, 39.5).position))
        < 0.05
    )
    assert across(10.0).position == pytest.approx(across(110.0).position)
