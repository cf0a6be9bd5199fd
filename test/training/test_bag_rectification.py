# SPDX-License-Identifier: Apache-2.0
"""From recorded images to those of a pinhole camera: which camera, which pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import ConfigError
from training.data.bag_rectification import pinhole_camera

SIZE = (48, 64)
K = np.array([[50.0, 0.0, 30.0], [0.0, 52.0, 22.0], [0.0, 0.0, 1.0]])
TOPIC = '/cam/image_raw'


@pytest.fixture
def info(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_camera_info(
            '/cam/camera_info', stamp_ns=1, image_size=SIZE, camera_matrix=K.ravel(),
            right_shift=-20.0,
        )  # fmt: skip
    with BagReader(tmp_path / 'bag') as bag:
        return next(bag.messages(['/cam/camera_info'])).deserialize()


def picture(size=SIZE):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def test_a_pinhole_camera_stays_one_and_its_matrix_follows_the_size(info):
    camera = pinhole_camera(info, TOPIC, (24, 32))
    assert camera.maps is None and camera.baseline_m == pytest.approx(20.0 / 50.0)
    np.testing.assert_array_equal(pinhole_camera(info, TOPIC, SIZE).image(picture()), picture())
    # Half the size: pixel centers are at whole numbers, corners half a pixel before them.
    np.testing.assert_allclose(camera.matrix[:2, 2], (np.array([30.5, 22.5]) / 2) - 0.5)
    np.testing.assert_allclose(np.diag(camera.matrix), [25.0, 26.0, 1.0])
    blocks = picture().reshape(24, 2, 32, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(camera.image(picture()) - blocks).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ('model', 'd'),
    [('plumb_bob', [-0.3, 0.1, 0.0, 0.0, 0.0]), ('equidistant', [0.05, 0.01, 0.0, 0.0])],
)
def test_a_distorted_camera_is_undistorted(info, model, d):
    """A point of the scene is where the pinhole camera projects it."""
    distorted = replace(info, d=np.array(d), distortion_model=model)
    camera = pinhole_camera(distorted, TOPIC, SIZE)
    rays = np.array([[x, y, 1.0] for x in (-0.3, 0.0, 0.4) for y in (-0.2, 0.25)])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    zero = np.zeros(3)
    coefficients = np.array(d)
    if model == 'equidistant':
        seen = project(rays[:, None], zero, zero, K, coefficients)[0][:, 0]
    else:
        seen = project(rays, zero, zero, K, coefficients)[0][:, 0]
    image = np.zeros((*SIZE, 3), np.float32)
    columns = np.arange(SIZE[1], dtype=np.float32)
    image[..., 0], image[..., 1] = columns, np.arange(SIZE[0], dtype=np.float32)[:, None]
    found = camera.image(image)
    for ray, (x, y) in zip(rays, seen, strict=True):
        u, v = (K @ ray)[:2]
        at = cv2.getRectSubPix(found, (1, 1), (float(u), float(v)))[0, 0]
        assert at[:2] == pytest.approx([x, y], abs=0.05)


def test_topics_of_rectified_images_follow_p_as_they_are(info):
    p = np.array(info.p)
    p[[0, 5]] = 40.0
    changed = replace(info, p=p, d=np.array([-0.3, 0.1, 0.0, 0.0, 0.0]))
    camera = pinhole_camera(changed, '/cam/image_rect/compressed', SIZE)
    assert camera.maps is None and camera.matrix[0, 0] == 40.0
    assert camera.baseline_m == pytest.approx(0.5)
    assert pinhole_camera(changed, TOPIC, SIZE).maps is not None


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'k': np.zeros(9), 'p': np.zeros(12)}, r'K\[0\] of its camera_info is 0'),
        ({'distortion_model': 'kannala', 'd': np.ones(4)}, "got 'kannala'"),
        ({'binning_x': 2, 'binning_y': 2}, 'without binning'),
    ],
)
def test_cameras_that_cannot_be_used_are_refused(info, changes, told):
    with pytest.raises(ConfigError, match=told):
        pinhole_camera(replace(info, **changes), TOPIC, SIZE)


def test_images_of_another_size_than_the_calibration_are_refused(info):
    with pytest.raises(ConfigError, match=r'\(48, 64\); received \(24, 32\)'):
        pinhole_camera(info, TOPIC, SIZE).image(picture((24, 32)))
