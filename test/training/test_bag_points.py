# SPDX-License-Identifier: Apache-2.0
"""Point clouds: their bytes, and where their points fall in an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_perception.errors import BagError
from kd_perception.world_export.stereo_bag import point_cloud
from training.data.bag_points import depth_of_points, points_from_cloud

POINTS = np.array([[1.5, -2.0, 3.0, 0.1], [np.nan, 1.0, 1.0, 0.2], [4.0, 5.0, -6.0, 0.3]], 'f4')


def test_bytes_become_points_without_those_that_are_not_finite():
    found = points_from_cloud(point_cloud(POINTS, 1))
    np.testing.assert_array_equal(found, [[1.5, -2.0, 3.0], [4.0, 5.0, -6.0]])


def test_other_layouts_of_the_same_points():
    """Big endian, doubles, z before x, a gap between points, two rows."""
    kind = np.dtype({'names': list('zxy'), 'formats': ['>f8', '>f4', '>f4'], 'offsets': [0, 8, 12],
                     'itemsize': 20})  # fmt: skip
    data = np.zeros(4, kind)
    for name, column in zip('xyz', np.arange(12.0).reshape(4, 3).T, strict=True):
        data[name] = column
    cloud = point_cloud(POINTS, 1)
    field = type(cloud.fields[0])
    fields = [field('z', 0, 8, 1), field('x', 8, 7, 1), field('y', 12, 7, 1)]
    other = replace(
        cloud, height=2, width=2, fields=fields, is_bigendian=True, point_step=20, row_step=40,
        data=np.frombuffer(data.tobytes(), np.uint8),
    )  # fmt: skip
    np.testing.assert_array_equal(points_from_cloud(other), np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'fields': []}, 'floats x, y and z'),
        ({'width': 4}, '1x4 points in 48 bytes'),
        ({'data': np.zeros(47, np.uint8)}, 'in 47 bytes'),
        ({'height': 2, 'row_step': 24, 'width': 1}, 'without gaps'),
    ],
)
def test_clouds_that_are_not_what_they_say_are_refused(changes, told):
    with pytest.raises(BagError, match=told):
        points_from_cloud(replace(point_cloud(POINTS, 1), **changes))


def test_points_fall_where_a_camera_sees_them_and_the_nearest_wins():
    matrix = np.array([[20.0, 0.0, 7.0], [0.0, 20.0, 5.0], [0.0, 0.0, 1.0]])
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # forward, left, up to right, down, forward
    pose[:3, 3] = 0.0, 0.0, 1.0
    points = np.array([
        [9.0, 0.0, 0.0],     # 10 m ahead of the camera: the principal point
        [19.0, 0.0, 0.0],    # behind it
        [3.0, -0.4, 0.6],    # 4 m: 0.4 m right, 0.6 m up: column 9, row 2
        [-5.0, 0.0, 0.0],    # behind the camera
        [0.0, 9.0, 0.0],     # beside the image
    ])  # fmt: skip
    found = depth_of_points(points, pose, matrix, (12, 16))
    expected = np.zeros((12, 16), np.float32)
    expected[5, 7], expected[2, 9] = 10.0, 4.0
    np.testing.assert_array_equal(found, expected)
