# SPDX-License-Identifier: Apache-2.0
"""The lidar measures what it meets, at about 4 % of the pixels and nowhere it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.rendering.camera import Camera, camera_rotation
from kd_perception.world.rendering.lidar import BOTTOM_RAD, TOP_RAD, lidar_image

SIZE = (240, 320)


def camera(focal_px=300.0, pitch=0.0, size=SIZE):
    return Camera(size, focal_px, np.zeros(3), camera_rotation(0.3, pitch, 0.02))


def image(depth_m=20.0, lens=None, glass=None, seed=0):
    lens = lens or camera()
    depth = np.broadcast_to(np.float32(depth_m), lens.image_size)
    glass = np.zeros(lens.image_size, bool) if glass is None else glass
    return lidar_image(depth, glass, lens, 80.0, np.random.default_rng(seed))


@pytest.mark.parametrize(('size', 'focal_px'), [((240, 320), 300.0), ((480, 640), 900.0)])
def test_share_of_pixels_within_the_beams(size, focal_px):
    lens = camera(focal_px, size=size)
    share = (image(lens=lens) > 0).mean()
    below = (np.arange(size[0]) - size[0] / 2) / focal_px
    within = ((below > -np.tan(TOP_RAD)) & (below < -np.tan(BOTTOM_RAD))).mean()
    # One pixel in fourteen at the middle of the view, fewer where the lens spreads them; 6 % lost.
    assert 0.75 * 0.94 / 14 < share / within < 1.02 * 0.94 / 14


def test_depth_is_measured_to_three_per_mille():
    found = image(20.0)
    relative = found[found > 0] / 20.0 - 1.0
    assert abs(relative.mean()) < 5e-4
    assert relative.std() == pytest.approx(0.003, rel=0.1)


def test_nothing_returns_from_sky_glass_and_beyond_the_reach():
    assert not image(np.inf).any()
    assert not image(90.0).any()
    glass = np.zeros(SIZE, bool)
    glass[:, 100:200] = True
    found = image(glass=glass)
    assert not found[glass].any() and found[~glass].any()


@pytest.mark.parametrize('pitch', [-0.1, 0.0, 0.1])
def test_no_return_above_the_top_and_below_the_bottom_beam(pitch):
    lens = camera(pitch=pitch)
    rows, columns = np.nonzero(image(lens=lens))
    rays = np.stack([columns, rows, np.ones(len(rows))])
    world = lens.rotation @ np.linalg.inv(lens.matrix) @ rays
    elevation = np.arctan2(-world[1], np.hypot(world[0], world[2]))
    half_pixel = 0.75 / 300.0
    assert elevation.max() < TOP_RAD + half_pixel
    assert elevation.min() > BOTTOM_RAD - half_pixel - np.sqrt(14.0) / 300.0
