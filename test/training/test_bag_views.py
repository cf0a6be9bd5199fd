# SPDX-License-Identifier: Apache-2.0
"""Images of two cameras come to one size and one view."""

from __future__ import annotations

import numpy as np
import pytest
from pair_bags import color, heat

from kd_perception.errors import ConfigError, ImageEncodingError
from kd_perception.frames import Frame
from training.data.bag_cameras import Camera
from training.data.bag_views import Views, check_homography


def views(thermal=(48, 64), rgb=(48, 64), **settings):
    cameras = (Camera('/t', 'mono16', thermal, 'uint16'), Camera('/c', 'rgb8', rgb, 'uint8'))
    return Views(*cameras, **settings)


def colored(image):
    return Frame(image, 'rgb8', 1)


def dot(size, x, y, radius=2):
    image = np.zeros((*size, 3), np.uint8)
    image[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    return image


def center_of(image):
    y, x = np.nonzero(image[..., 0] > 127)
    return np.array([x.mean(), y.mean()])


def test_sizes_default_to_the_thermal_image_which_stays_as_it_is():
    both = views(rgb=(96, 160))
    np.testing.assert_array_equal(both.image('thermal', Frame(heat(0), 'mono16', 1)), heat(0))
    assert both.image('rgb', colored(color(0, (96, 160)))).shape == (48, 64, 3)
    assert both.covered == 1.0


def test_views_of_different_sizes_fall_on_one_another():
    both = views((48, 64), (96, 160), image_size=(24, 40))
    hot = np.full((48, 64), 100, np.uint16)
    hot[20:24, 32:40] = 60_000
    seen = np.zeros((96, 160, 3), np.uint8)
    seen[40:48, 80:100] = 255
    warm = both.image('thermal', Frame(hot, 'mono16', 1))
    assert warm.dtype == np.uint16
    np.testing.assert_array_equal(warm > 30_000, both.image('rgb', colored(seen))[..., 0] > 127)


@pytest.mark.parametrize('image_size', [(), (24, 32), (96, 128)])
@pytest.mark.parametrize('rgb_size', [(48, 64), (192, 320)])
def test_homography_takes_color_pixels_to_thermal_pixels(image_size, rgb_size):
    zoom_x, zoom_y = 60 / rgb_size[1], 44 / rgb_size[0]
    matrix = np.array([[zoom_x, 0.0, 3.0], [0.0, zoom_y, -2.0], [1e-5, 0.0, 1.0]])
    both = views(rgb=rgb_size, image_size=image_size, rgb_to_thermal=tuple(matrix.ravel()))
    x, y = rgb_size[1] // 2, rgb_size[0] // 3
    found = center_of(both.image('rgb', colored(dot(rgb_size, x, y, rgb_size[0] // 16))))
    expected = matrix @ (x, y, 1.0)
    scale = (image_size or (48, 64))[1] / 64
    expected = (expected[:2] / expected[2] + 0.5) * scale - 0.5
    assert np.abs(found - expected).max() < 0.6 * max(scale, 1.0)


def test_identity_matrix_changes_nothing_and_a_shift_leaves_black():
    same = views(rgb_to_thermal=tuple(np.eye(3).ravel()))
    np.testing.assert_array_equal(same.image('rgb', colored(color(0))), color(0))
    shifted = views(rgb_to_thermal=(1, 0, 16, 0, 1, 0, 0, 0, 1))
    moved = shifted.image('rgb', colored(color(0)))
    np.testing.assert_array_equal(moved[:, 16:], color(0)[:, :-16])
    assert not moved[:, :16].any()
    assert shifted.covered == pytest.approx(0.75)


def test_shrinking_onto_the_view_averages_fine_patterns():
    board = np.indices((384, 512)).sum(axis=0) % 2 * np.uint8(255)
    both = views(rgb=(384, 512), rgb_to_thermal=(1 / 8, 0, 0.1, 0, 1 / 8, 0.1, 0, 0, 1))
    gray = both.image('rgb', colored(np.repeat(board[..., None], 3, 2).astype(np.uint8)))
    assert np.abs(gray[4:-4, 4:-4].astype(int) - 127).max() <= 3


def test_images_unlike_the_first_are_refused():
    both = views()
    for frame in (
        Frame(heat(0, (24, 32)), 'mono16', 1),
        Frame(heat(0, dtype=np.uint8), 'mono8', 1),
    ):
        with pytest.raises(ImageEncodingError, match='alike'):
            both.image('thermal', frame)


def test_homographies_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match='not its inverse'):
        views(rgb_to_thermal=(1, 0, 900, 0, 1, 0, 0, 0, 1))
    check_homography(tuple(1e-6 * np.eye(3).ravel()))
    for values in ((1.0,) * 9, (float('nan'),) * 9, (1.0,) * 8):
        with pytest.raises(ConfigError, match='rgb_to_thermal'):
            check_homography(values)
