# SPDX-License-Identifier: Apache-2.0
"""Lidar of KITTI, on the real frame 000001 and on made scans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import DatasetError
from training.data.kitti_calibration import KittiCalibration, read_object_calibration
from training.data.kitti_lidar import eigen_depth_m, lidar_depth_m, read_velodyne
from training.data.kitti_object import KittiObject

SIZE = (375, 1242)

# Lidar x forward, y left, z up -> camera x right, y down, z forward, at the same place.
AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def simple_calibration(focal=100.0, column=50.0, row=40.0):
    projection = np.array([[focal, 0, column, 0], [0, focal, row, 0], [0, 0, 1, 0.0]])
    return KittiCalibration({2: projection}, AXES)


@pytest.fixture(scope='module')
def real_frame(real_data):
    return real_data / 'kitti_object' / 'training'


def per_point_depths(calibration_text, velodyne, offset=0):
    """Each point by itself, from the text of the calibration: (row, column) -> [(u, v, z, x)]."""
    entries = {}
    for line in calibration_text.splitlines():
        if line.strip():
            name, numbers = line.split(':')
            entries[name] = [float(word) for word in numbers.split()]
    to_camera, rectify, camera = entries['Tr_velo_to_cam'], entries['R0_rect'], entries['P2']
    found = {}
    for x, y, z in velodyne[:, :3].tolist():
        p = [to_camera[4 * i] * x + to_camera[4 * i + 1] * y + to_camera[4 * i + 2] * z
             + to_camera[4 * i + 3] for i in range(3)]  # fmt: skip
        q = [sum(rectify[3 * i + j] * p[j] for j in range(3)) for i in range(3)]
        a, b, c = (sum(camera[4 * i + j] * q[j] for j in range(3)) + camera[4 * i + 3]
                   for i in range(3))  # fmt: skip
        if c > 0:
            u, v = a / c, b / c
            pixel = (round(v) - offset, round(u) - offset)
            if 0 <= pixel[0] < SIZE[0] and 0 <= pixel[1] < SIZE[1]:
                found.setdefault(pixel, []).append((u, v, c, x))
    return found


@pytest.fixture(scope='module')
def scan(real_frame):
    return np.fromfile(real_frame / 'velodyne' / '000001.bin', np.float32).reshape(-1, 4)


def test_real_lidar_projects_as_computed_point_by_point(real_frame, scan):
    sample = KittiObject(real_frame.parent, 'training')[0]
    expected = per_point_depths((real_frame / 'calib' / '000001.txt').read_text(), scan)
    assert sample.lidar_m.dtype == np.float32
    drawn = [(row, column) for row, column in np.argwhere(sample.lidar_m).tolist()]
    assert len(drawn) > 15_000 and {*drawn} == {*expected}
    for row, column in drawn:
        nearest = min(expected[row, column], key=lambda point: point[2])
        assert abs(sample.lidar_m[row, column] - nearest[2]) < 0.01
        assert abs(nearest[0] - column) < 1 and abs(nearest[1] - row) < 1


def test_real_lidar_falls_on_the_image_as_a_scanner_around_the_car_does(real_frame, scan):
    depth = KittiObject(real_frame.parent)[0].lidar_m
    assert depth.shape == SIZE
    # The camera sees about 80 of 360 degrees; the scanner's upper beams end above mid-image.
    assert (
        0.1
        < len(per_point_depths((real_frame / 'calib/000001.txt').read_text(), scan)) / len(scan)
        < 0.25
    )
    assert 0.03 < (depth > 0).mean() < 0.06
    assert not depth[:100].any()
    assert (depth[300:] > 0).mean() > 0.03
    assert depth[depth > 0].min() > 2 and depth.max() < 125


def test_eigen_depth_is_the_lidars_x_one_pixel_up_and_left(real_frame, scan):
    calibration = read_object_calibration(real_frame / 'calib' / '000001.txt')
    depth = eigen_depth_m(scan, calibration, 2, SIZE)
    expected = per_point_depths((real_frame / 'calib/000001.txt').read_text(), scan, offset=1)
    assert {(row, column) for row, column in np.argwhere(depth).tolist()} == {*expected}
    for (row, column), points in expected.items():
        assert depth[row, column] == np.float32(min(point[3] for point in points))
    plain = lidar_depth_m(scan, calibration, 2, SIZE)
    both = (depth[:-1, :-1] > 0) & (plain[1:, 1:] > 0)
    assert both.sum() > 15_000
    # The scanner stands 0.27 m behind the camera.
    difference = depth[:-1, :-1][both] - plain[1:, 1:][both]
    assert np.median(difference) == pytest.approx(0.27, abs=0.1)


def test_nearest_of_several_returns_is_kept_whatever_their_order():
    points = np.array([[20, 0, 0, 0], [8, 0, 0, 0], [15, 0, 0, 0]], np.float32)
    for order in ([0, 1, 2], [1, 0, 2], [2, 0, 1]):
        depth = lidar_depth_m(points[order], simple_calibration(), 2, (80, 100))
        assert depth[40, 50] == 8
        assert np.count_nonzero(depth) == 1
        assert eigen_depth_m(points[order], simple_calibration(), 2, (80, 100))[39, 49] == 8


def test_points_behind_or_beside_the_camera_are_left_out():
    behind = np.array([[-10, 1, 0, 0], [0, 1, 0, 0], [1e-20, 3, 0, 0]], np.float32)
    assert not lidar_depth_m(behind, simple_calibration(), 2, (80, 100)).any()
    assert not eigen_depth_m(behind, simple_calibration(), 2, (80, 100)).any()
    assert not lidar_depth_m(np.empty((0, 4), np.float32), simple_calibration(), 2, (8, 9)).any()


@given(
    column=st.integers(0, 99), row=st.integers(0, 79), z=st.floats(1, 80),
    shift=st.floats(-0.49, 0.49),
)  # fmt: skip
def test_a_point_is_drawn_at_the_pixel_that_it_came_from(column, row, z, shift):
    u, v = column + shift, row + shift
    point = np.array([[z, -(u - 50) / 100 * z, -(v - 40) / 100 * z, 0.0]])
    depth = lidar_depth_m(point, simple_calibration(), 2, (80, 100))
    assert np.argwhere(depth).tolist() == [[row, column]]
    assert depth[row, column] == np.float32(z)


@pytest.mark.parametrize('size', [0, 15, 17, 160 + 8])
def test_cut_off_scans_are_refused_by_name(tmp_path, size):
    (tmp_path / 'scan.bin').write_bytes(bytes(size))
    with pytest.raises(DatasetError, match=rf'scan\.bin has {size} bytes'):
        read_velodyne(tmp_path / 'scan.bin')


def test_huge_and_senseless_scans_are_refused(tmp_path):
    with (tmp_path / 'huge.bin').open('wb') as file:
        file.truncate(2**20 * 16 + 16)  # sparse: takes no space
    with pytest.raises(DatasetError, match='huge'):
        read_velodyne(tmp_path / 'huge.bin')
    np.array([[1, 2, np.nan, 0]], np.float32).tofile(tmp_path / 'nan.bin')
    with pytest.raises(DatasetError, match='finite'):
        read_velodyne(tmp_path / 'nan.bin')
    with pytest.raises(DatasetError, match='gone'):
        read_velodyne(tmp_path / 'none.bin')
