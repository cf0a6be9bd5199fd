# SPDX-License-Identifier: Apache-2.0
"""Calibration of KITTI: the real frame 000001, and what damage is refused."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti_calibration import (
    read_object_calibration,
    read_odometry_calibration,
    read_raw_calibration,
)
from training.data.kitti_lidar import lidar_depth_m

P = '7.2e2 0 6.1e2 {} 0 7.2e2 1.7e2 0 0 0 1 0'
CALIBRATION = {
    'P0': P.format(0), 'P1': P.format(-387), 'P2': P.format(44), 'P3': P.format(-339),
    'R0_rect': '1 0 0 0 1 0 0 0 1', 'Tr_velo_to_cam': '0 -1 0 0 0 0 -1 0 1 0 0 -0.27',
}  # fmt: skip


def write_calibration(path, **changes):
    entries = {**CALIBRATION, **changes}
    path.write_text(''.join(f'{k}: {v}\n' for k, v in entries.items() if v is not None))
    return path


def test_real_cameras_stand_where_kitti_says(real_data):
    calibration = read_object_calibration(real_data / 'kitti_object/training/calib/000001.txt')
    assert calibration.baseline_m(0, 1) == pytest.approx(0.537, abs=1e-3)
    assert calibration.baseline_m(2, 3) == pytest.approx(0.533, abs=1e-3)
    assert calibration.baseline_m(3, 2) == -calibration.baseline_m(2, 3)
    # A point is seen by both cameras where their projections say.
    point = np.array([1.0, 0.5, 12.0])
    in_right = calibration.other_from_camera(3, 2) @ [*point, 1]
    matrices = [calibration.camera_matrix(camera) for camera in (2, 3)]
    left, right = (matrices[0] @ point, matrices[1] @ in_right[:3])
    rectified = np.linalg.inv(calibration.camera_from_rectified(2)) @ [*point, 1]
    np.testing.assert_allclose(calibration.projection(2) @ rectified, left)
    np.testing.assert_allclose(calibration.projection(3) @ rectified, right)


def test_raw_drives_calibration_says_the_same_in_other_words(tmp_path, real_data):
    path = real_data / 'kitti_object/training/calib/000001.txt'
    entries = dict(line.split(':') for line in path.read_text().splitlines() if line)
    rigid = np.array(entries['Tr_velo_to_cam'].split()).reshape(3, 4)
    cameras = [
        f'S_rect_0{c}: 1.242000e+03 3.750000e+02\nP_rect_0{c}:{entries[f"P{c}"]}\n'
        for c in range(4)
    ]
    (tmp_path / 'calib_cam_to_cam.txt').write_text(
        'calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n'
        f'R_rect_00:{entries["R0_rect"]}\n{"".join(cameras)}'
    )
    (tmp_path / 'calib_velo_to_cam.txt').write_text(
        f'R: {" ".join(rigid[:, :3].ravel())}\nT: {" ".join(rigid[:, 3])}\ndelta_f: 0 0\n'
    )
    raw, expected = read_raw_calibration(tmp_path), read_object_calibration(path)
    np.testing.assert_array_equal(raw.rectified_from_velodyne, expected.rectified_from_velodyne)
    assert raw.sizes[3] == (375, 1242)
    for camera in range(4):
        np.testing.assert_array_equal(raw.projection(camera), expected.projection(camera))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'P2': None}, 'P2 of 12.*no such entry'),
        ({'R0_rect': '1 0 0 0 1 0 0 0'}, 'R0_rect of 9'),
        ({'R0_rect': '2 0 0 0 1 0 0 0 1'}, 'rotation'),
        ({'R0_rect': '-1 0 0 0 1 0 0 0 1'}, 'rotation'),
        ({'Tr_velo_to_cam': '0 -1 0 0 0 0 -1 0 1 0 0 nan'}, 'Tr_velo_to_cam of 12'),
        ({'P3': P.format(0).replace('7.2e2', '-1')}, 'project'),
        ({'P1': 'abc'}, 'P1 of 12'),
    ],
)
def test_damaged_calibration_is_refused_by_name(tmp_path, changes, message):
    path = write_calibration(tmp_path / '000000.txt', **changes)
    with pytest.raises(DatasetError, match=message) as error:
        read_object_calibration(path)
    assert str(path) in str(error.value)


def test_binary_and_missing_calibration_are_refused(tmp_path):
    (tmp_path / 'calib.txt').write_bytes(b'\xff\xfe\x00')
    for name in ('calib.txt', 'none.txt'):
        with pytest.raises(DatasetError, match=name):
            read_odometry_calibration(tmp_path / name)


def test_a_calibration_says_what_it_lacks(tmp_path):
    (tmp_path / 'calib.txt').write_text(f'{P.format(0)}\n{P.format(-387)}\n')
    calibration = read_odometry_calibration(tmp_path / 'calib.txt')
    assert calibration.baseline_m(0, 1) == pytest.approx(387 / 720)
    with pytest.raises(ConfigError, match='camera'):
        calibration.camera_matrix(2)
    with pytest.raises(ConfigError, match='lidar'):
        lidar_depth_m(np.zeros((1, 4)), calibration, 0, (4, 4))
    (tmp_path / 'calib.txt').write_text('calib_time: 09-Jan-2012 13:57:47\n')
    with pytest.raises(DatasetError, match='projection'):
        read_odometry_calibration(tmp_path / 'calib.txt')
