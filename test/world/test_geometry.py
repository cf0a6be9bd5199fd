# SPDX-License-Identifier: Apache-2.0
"""The ray caster: depth, occlusion, windows and the ground plane."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.camera import Camera, camera_rotation
from kd_perception.world.geometry import GBuffer, Solid, Sun, cast
from kd_perception.world.materials import Leaves, Plain, Strokes
from kd_perception.world.shapes import Sheet, ball, box

SUN = Sun((0.0, -1.0, 0.0), 0.0)
IMAGE = (60, 80)


def camera(yaw=0.0, pitch=0.0, height=1.5, position=None):
    place = np.array([0.0, -height, 0.0]) if position is None else np.array(position)
    return Camera(IMAGE, 80.0, place, camera_rotation(yaw, pitch, 0.0))


def drawn(solids, view, sun=SUN):
    buffer = GBuffer.empty(view.image_size)
    cast(solids, view, sun, buffer, view.rays())
    return buffer


def test_depth_is_along_the_optical_axis_and_the_nearer_thing_wins():
    far = Solid(box(4, 4, 0.5), Plain(10.0, grain_k=0.0), (0, 0, 20.5), label=1, instance=7)
    near = Solid(box(0.5, 4, 0.5), Plain(30.0, grain_k=0.0), (0, 0, 8.5), label=2, instance=9)
    for order in ([far, near], [near, far]):
        buffer = drawn(order, camera())
        middle, aside = (30, 40), (30, 52)
        assert buffer.depth_m[middle] == pytest.approx(8.0, abs=1e-4)
        assert buffer.depth_m[aside] == pytest.approx(20.0, abs=1e-4)
        assert (buffer.label[middle], buffer.label[aside]) == (2, 1)
        assert (buffer.instance[middle], buffer.instance[aside]) == (9, 7)
        assert buffer.temperature_c[middle] == pytest.approx(30.0)


def test_projection_follows_the_camera_matrix():
    view = camera(yaw=0.1, pitch=-0.05, position=(0.4, -1.2, 2.0))
    point = np.array([1.0, -1.0, 12.0])
    solid = Solid(ball((0, 0, 0), (0.3, 0.3, 0.3)), Plain(20.0), tuple(point), label=3)
    rows, columns = np.nonzero(drawn([solid], view).label)
    seen = view.matrix @ view.rotation.T @ (point - view.position)
    assert columns.mean() == pytest.approx(seen[0] / seen[2], abs=0.3)
    assert rows.mean() == pytest.approx(seen[1] / seen[2], abs=0.3)


@pytest.mark.parametrize('yaw', [0.0, 0.7, np.pi / 2, 2.5])
def test_window_holds_every_pixel_of_a_turned_solid(yaw):
    solid = Solid(box(0.6, 1.2, 1.5), Plain(5.0), (1.0, 0.0, 9.0), yaw, label=1)
    view = camera()
    mask = drawn([solid], view).label > 0
    (window,) = view.windows(solid.corners[None])[1]
    assert mask.sum() > 50
    assert mask[window].sum() == mask.sum()
    full = GBuffer.empty(IMAGE)
    wide = Camera((180, 240), 80.0, view.position, view.rotation)
    full = drawn([solid], wide)
    np.testing.assert_array_equal(full.label[60:120, 80:160] > 0, mask)


def test_solids_behind_and_around_the_camera_are_drawn_rightly():
    behind = Solid(box(1, 2, 1), Plain(5.0), (0, 0, -5.0), label=1)
    assert not drawn([behind], camera()).label.any()
    beside = Solid(box(0.2, 3, 20), Plain(5.0), (3.0, 0, 0.0), label=1)
    buffer = drawn([beside], camera())
    assert buffer.label[30, 79] == 1
    assert buffer.depth_m[30, 79] == pytest.approx(2.8 / ((79 - 39.5) / 80.0), rel=1e-4)


def test_transparent_parts_show_what_is_behind():
    wall = Solid(box(9, 9, 0.5), Plain(10.0, grain_k=0.0), (0, 0, 20.0), label=1)
    twigs = Strokes(30.0, 0.95, ((-1.0, 1.5, 1.0, 1.5),), (0.1,))
    buffer = drawn([wall, Solid(Sheet(2.0, 4.0), twigs, (0, 0, 8.0), label=4)], camera())
    assert buffer.label[30, 40] == 4
    assert buffer.label[20, 40] == 1
    crown = Solid(ball((0, -2, 0), (2, 2, 2)), Leaves(8.0, 0.5, 0.3, 0), (0, 0, 10.0), label=5)
    disc = drawn([Solid(crown.shape, Plain(8.0), crown.position, label=5)], camera())
    share = (drawn([crown], camera()).label > 0).sum() / (disc.label > 0).sum()
    assert 0.5 < share < 0.99


def test_sun_warms_the_faces_that_look_at_it():
    solid = Solid(box(2, 1, 2), Plain(10.0, grain_k=0.0), (0, 0, 8.0), label=1)
    buffer = drawn([solid], camera(height=4.0, pitch=-0.4), Sun((0.0, -1.0, 0.0), 5.0))
    top = (buffer.label > 0) & (buffer.sky_view > 0.9)
    front = (buffer.label > 0) & (np.abs(buffer.sky_view - 0.5) < 0.01)
    assert top.any()
    assert front.any()
    np.testing.assert_allclose(buffer.temperature_c[top], 15.0, atol=1e-4)
    np.testing.assert_allclose(buffer.temperature_c[front], 10.0, atol=1e-4)


def test_thing_before_the_far_part_of_a_near_wall_is_not_skipped_as_hidden():
    wall = Solid(box(0.1, 9, 40), Plain(10.0), (3.1, 3.0, 42.0), label=1)
    board = Sheet(0.2, 2.0)
    before = Solid(board, Plain(12.0), (2.7, 0, 30.0), label=2)
    behind = Solid(board, Plain(12.0), (4.0, 0, 30.0), label=2)
    assert (drawn([wall, before], camera()).label == 2).sum() >= 5
    assert not (drawn([wall, behind], camera()).label == 2).any()
