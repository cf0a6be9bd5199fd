# SPDX-License-Identifier: Apache-2.0
"""Rays meet shapes where geometry says they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.world.shapes import Ellipsoid, Hull, Sheet, ball, box, cone, limb, prism

CAR_PROFILE = [(-2.0, 0.2), (2.0, 0.2), (2.0, 0.7), (1.0, 0.9), (-2.0, 0.9)]


def rays_at(target, count=200, seed=0):
    """Rays from one origin into the neighborhood of a target point."""
    rng = np.random.default_rng(seed)
    origin = np.array([1.0, -1.5, -12.0], np.float32)
    aim = np.array(target) + rng.normal(0.0, 1.5, (count, 3))
    direction = (aim - origin).astype(np.float32)
    return origin, (direction[:, 0], direction[:, 1], direction[:, 2])


def points_of(hit, origin, direction):
    return np.stack([origin[i] + hit.distance * direction[i] for i in range(3)], 1)[hit.found]


def inside(hull: Hull, points):
    return (points @ hull.normals.T <= hull.offsets + 1e-4).all(axis=1)


@pytest.mark.parametrize(
    'hull',
    [
        box(1.0, 1.5, 2.0, base_m=0.2),
        prism(CAR_PROFILE, 0.9, lean=0.2, bevel_m=0.1),
        cone(1.2, 0.4, 1.6),
    ],
)
def test_hull_is_entered_on_its_surface_and_missed_only_outside(hull):
    origin, direction = rays_at((0.0, -0.6, 0.0), 400)
    hit = hull.intersect(origin, direction)
    assert 20 < hit.found.sum() < 400
    points = points_of(hit, origin, direction)
    normals = np.stack(hit.normal, 1)[hit.found]
    margin = hull.offsets - points @ hull.normals.T
    np.testing.assert_allclose(margin.min(axis=1), 0.0, atol=2e-4)
    toward = np.stack(direction, 1)[hit.found]
    assert ((normals * toward).sum(axis=1) < 0).all()
    for share in np.linspace(0.5, 1.5, 41, dtype=np.float32):
        samples = origin + share * np.stack(direction, 1)[~hit.found]
        assert not inside(hull, samples + 0.0).any()


def test_box_gives_the_distance_of_its_front():
    hit = box(1.0, 2.0, 0.5).intersect(
        np.array([0, -1, -10], np.float32), (np.zeros(1), np.zeros(1), np.ones(1))
    )
    assert hit.found[0]
    assert hit.distance[0] == pytest.approx(9.5)
    assert [component[0] for component in hit.normal] == [0, 0, -1]


def test_prism_leans_inward():
    hull = prism([(-1, 0), (1, 0), (1, 2), (-1, 2)], 1.0, lean=0.25)
    heights = np.array([0.0, 1.9])
    origin = np.array([-5, 0, 0], np.float32)
    direction = (np.full(2, 5.0), -heights, np.zeros(2))
    hit = hull.intersect(origin, direction)
    x = origin[0] + hit.distance * direction[0]
    height = hit.distance * heights
    np.testing.assert_allclose(-x, 1.0 - 0.25 * height, atol=1e-5)


@pytest.mark.parametrize(
    'shape', [ball((0, -1, 0), (0.5, 1.0, 0.3)), limb((0, -1, 0), (0.5, -0.2, 0.4), 0.2)]
)
def test_ellipsoid_is_entered_on_its_surface(shape: Ellipsoid):
    origin, direction = rays_at(shape.center, 2000)
    hit = shape.intersect(origin, direction)
    assert hit.found.sum() > 10
    points = points_of(hit, origin, direction) - np.array(shape.center)
    np.testing.assert_allclose(np.linalg.norm(points @ shape.to_unit.T, axis=1), 1.0, atol=1e-3)
    normals = np.stack(hit.normal, 1)[hit.found]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)


@given(
    shape=st.sampled_from(
        [box(1.0, 1.5, 2.0), cone(0.3, 0.1, 0.8), ball((0, -1, 0), (0.4, 1, 0.3)), Sheet(1.0, 2.0)]
    ),
    x=st.floats(-3, 3),
    y=st.floats(-3, 1),
    z=st.floats(-2, 2),
)
@settings(max_examples=200, deadline=None)
def test_every_hit_is_within_the_bounds(shape, x, y, z):
    origin = np.array([0.3, -1.2, -9.0], np.float32)
    direction = tuple(
        np.array([end - start], np.float32) for end, start in zip((x, y, z), origin, strict=True)
    )
    with np.errstate(divide='ignore', invalid='ignore'):
        hit = shape.intersect(origin, direction)
    low, high = shape.bounds()
    for point in points_of(hit, origin, direction):
        assert (point >= np.array(low) - 1e-3).all()
        assert (point <= np.array(high) + 1e-3).all()
