# SPDX-License-Identifier: Apache-2.0
"""Rays meet forms where marching along them in small steps says that they do."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.materials.plain import Plain
from kd_perception.world.rendering.camera import NEAR_M, Camera, ParallelCamera, camera_rotation
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.tables import pack
from kd_perception.world.scenes.shapes import (
    Ellipsoid,
    Hull,
    Sheet,
    Slab,
    ball,
    box,
    cone,
    limb,
    prism,
)
from kd_perception.world.scenes.solids import Part, Placement, Thing
from kd_perception.world.things.bodies import rounded_prism

CAR_PROFILE = [(-2.0, 0.2), (2.0, 0.2), (2.0, 0.7), (1.0, 0.9), (-2.0, 0.9)]
GRAY = Plain(10.0)
STEP_M = 0.004

SHAPES = {
    'box': box(1.0, 1.5, 0.7, base_m=0.2),
    'prism': prism(CAR_PROFILE, 0.9),
    'rounded': rounded_prism(CAR_PROFILE, 0.9, lean=0.2, cut_m=0.1),
    'cone': cone(1.2, 0.4, 1.6),
    'ball': ball((0.3, -1.0, 0.2), (0.8, 1.1, 0.5)),
    'limb': limb((0.0, -0.2, 0.0), (0.4, -1.6, 0.5), 0.3),
    'sheet': Sheet(1.4, 1.8),
    'slab': Slab(3.0, 4.0),
}


def camera(yaw=0.1, pitch=-0.12, size=(60, 80)):
    position = np.array([0.6, -1.7, -7.0])
    return Camera(size, 80.0, position, camera_rotation(yaw, pitch, 0.05))


def one(shape, placement=None, **part):
    return Thing((Part(shape, GRAY, **part),)).at(
        placement or Placement((0.0, 0.0, 0.0), 0.6, 0.1)
    )


def hits_of(scene, lens):
    return cast(*pack(scene), lens, 1.0 / 80.0)


def local(point, placed):
    thing, placement = placed
    part = thing.parts[0]
    inner = Placement(part.offset, part.yaw)
    point = (point - np.array(placement.position)) @ placement.rotation()
    return (point - np.array(inner.position)) @ inner.rotation()


def side(shape, point):
    """Negative or True where a local point is inside, or on one side of a flat form."""
    if isinstance(shape, Hull):
        return (point @ shape.normals.T.astype(float) <= shape.offsets).all(axis=-1)
    if isinstance(shape, Ellipsoid):
        unit = (point - np.array(shape.center)) @ shape.to_unit.T
        return (unit**2).sum(axis=-1) < 1.0
    return point[..., 2] > 0 if isinstance(shape, Sheet) else point[..., 1] > 0


def within(shape, point):
    if isinstance(shape, Sheet):
        return (abs(point[..., 0]) < shape.half_width_m) & (
            (point[..., 1] < 0) & (point[..., 1] > -shape.height_m)
        )
    if isinstance(shape, Slab):
        return (abs(point[..., 0]) < shape.half_width_m) & (
            (point[..., 2] > 0) & (point[..., 2] < shape.length_m)
        )
    return np.ones(point.shape[:-1], bool)


def march(scene, lens, row, column, reach_m=14.0):
    """Depth and index of the first form along a ray, by small steps."""
    rays = lens.rays()
    origin = rays[0] + column * rays[1] + row * rays[2]
    direction = rays[3] + column * rays[4] + row * rays[5]
    distances = np.arange(NEAR_M, reach_m, STEP_M)
    found = (np.inf, -1)
    for index, placed in enumerate(scene):
        shape = placed.thing.parts[0].shape
        points = local(origin + distances[:, None] * direction, placed)
        state = side(shape, points)
        crossed = (state[1:] != state[:-1]) & within(shape, points[1:])
        if isinstance(shape, Slab):  # seen from above only
            crossed &= state[1:]
        if crossed.any():
            found = min(found, (distances[1:][crossed.argmax()], index))
    return found


def assert_agrees(scene, lens, pixels):
    hits = hits_of(scene, lens)
    agreeing = 0
    for row, column in pixels:
        depth, index = march(scene, lens, row, column)
        same = hits.part[row, column] == index
        if same and index >= 0:
            assert abs(hits.depth_m[row, column] - depth) < 2 * STEP_M
        agreeing += same
    # A step may jump over a grazed edge.
    assert agreeing >= 0.97 * len(pixels)
    return hits


def grid(size, step):
    return [(r, c) for r in range(0, size[0], step) for c in range(0, size[1], step)]


@pytest.mark.parametrize('name', SHAPES)
def test_single_form(name):
    lens = camera()
    hits = assert_agrees([one(SHAPES[name])], lens, grid(lens.image_size, 5))
    assert 0.005 < (hits.part == 0).mean() < 0.6


def test_scene_of_many_shows_the_nearest():
    rng = np.random.default_rng(5)
    scene = [
        one(shape, Placement((rng.uniform(-3, 3), 0.0, rng.uniform(-3, 5)), rng.uniform(-3, 3)))
        for shape in list(SHAPES.values())[:-1] * 3
    ]
    scene.append(one(SHAPES['slab'], Placement((0.0, 0.0, -3.0), 0.0, 0.05)))
    lens = camera()
    hits = assert_agrees(scene, lens, grid(lens.image_size, 5))
    assert len(np.unique(hits.part)) > 8


def test_parts_are_moved_and_turned_within_their_thing():
    placed = one(
        SHAPES['rounded'], Placement((0.5, -0.1, 1.0), 0.8, 0.2), offset=(0.4, -0.3, 0.2), yaw=0.5
    )
    lens = camera()
    assert_agrees([placed], lens, grid(lens.image_size, 5))


def test_parallel_rays():
    direction = np.array([0.3, 0.8, 0.5])
    direction /= np.linalg.norm(direction)
    lens = ParallelCamera((60, 60), 0.1, -6.0 * direction, tuple(direction.tolist()))
    scene = [one(SHAPES['box']), one(SHAPES['ball'], Placement((1.5, 0.0, 0.5)))]
    hits = assert_agrees(scene, lens, grid((60, 60), 4))
    assert {0, 1} <= set(np.unique(hits.part))


@pytest.mark.parametrize('name', ['box', 'ball', 'prism'])
def test_forms_around_the_camera_or_behind_it_are_not_seen(name):
    """Forms are seen from outside: a camera within one looks through its walls."""
    lens = camera()
    around = one(
        SHAPES[name], Placement(tuple((lens.position + np.array([0.0, 0.8, 0.0])).tolist()))
    )
    behind = one(SHAPES[name], Placement((0.6, 0.0, -12.0)))
    shape = SHAPES[name]
    assert side(shape, local(lens.position, around)) and not side(
        shape, local(lens.position, behind)
    )
    for placed in (around, behind):
        hits = hits_of([placed], lens)
        assert (hits.part == -1).all() and np.isinf(hits.depth_m).all()


def test_form_across_the_near_plane_is_drawn_beyond_it():
    lens = camera(0.0, 0.0)
    wall = Thing((Part(box(0.2, 3.0, 20.0), GRAY),)).at(Placement((1.6, 0.0, 0.0)))
    hits = assert_agrees([wall], lens, grid(lens.image_size, 6))
    assert (hits.part == 0).mean() > 0.15
    assert hits.depth_m.min() >= NEAR_M


def test_empty_scene_is_all_sky():
    hits = hits_of([], camera())
    assert (hits.part == -1).all() and np.isinf(hits.depth_m).all()


def test_hull_normals_point_outward():
    for name in ('box', 'prism', 'rounded', 'cone'):
        shape = SHAPES[name]
        middle = (np.array(shape.low) + np.array(shape.high)) / 2
        assert (shape.normals @ middle < shape.offsets).all()
        np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=1), 1.0, atol=1e-5)


def test_bounds_hold_the_form():
    rng = np.random.default_rng(1)
    points = rng.uniform(-3.0, 3.0, (20000, 3))
    for name in ('box', 'prism', 'rounded', 'cone', 'ball', 'limb'):
        shape = SHAPES[name]
        inside = points[side(shape, points)]
        low, high = (np.array(end) for end in shape.bounds())
        assert len(inside) and (inside >= low - 1e-6).all() and (inside <= high + 1e-6).all()
        np.testing.assert_allclose([inside.min(0), inside.max(0)], [low, high], atol=0.25)
