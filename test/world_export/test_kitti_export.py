# SPDX-License-Identifier: Apache-2.0
"""KITTI files: lidar, calibration and poses give back the geometry that they were made from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.world_export import kitti
from kd_perception.world_export.body_frame import body_pose, quaternion, roll_pitch_yaw
from kd_perception.world_export.kitti_calibration import (
    CAMERA_FROM_VELODYNE,
    camera_state,
    velodyne_points,
    write_calibration,
    write_oxts,
)
from kd_perception.world_export.plan import ExportPlan, Job

ANGLES = st.floats(-3.0, 3.0)


def rotation(roll, pitch, yaw):
    parts = []
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        vector = np.zeros(3)
        vector[axis] = angle
        parts.append(cv2.Rodrigues(vector)[0])
    return parts[0] @ parts[1] @ parts[2]


@given(ANGLES, st.floats(-1.5, 1.5), ANGLES)
def test_angles_and_quaternions_give_back_the_rotation(roll, pitch, yaw):
    matrix = rotation(roll, pitch, yaw)
    np.testing.assert_allclose(rotation(*roll_pitch_yaw(matrix)), matrix, atol=1e-6)
    x, y, z, w = quaternion(matrix)
    assert x * x + y * y + z * z + w * w == pytest.approx(1)
    assert w >= 0
    vector = np.array([0.3, -2.0, 1.0])
    u = np.array([x, y, z])
    turned = vector + 2 * np.cross(u, np.cross(u, vector) + w * vector)
    np.testing.assert_allclose(turned, matrix @ vector, atol=1e-6)


def test_a_body_looks_where_its_camera_looks():
    pose = np.eye(4)
    pose[:3, 3] = 1.0, -2.0, 3.0  # 1 to the right, 2 up, 3 ahead
    np.testing.assert_allclose(body_pose(pose)[:3], np.eye(4)[:3] + _column([3.0, -1.0, 2.0]))


def _column(values):
    column = np.zeros((3, 4))
    column[:, 3] = values
    return column


def numbers(path):
    lines = (line.partition(':') for line in path.read_text().splitlines())
    return {name: np.array(text.split(), float) for name, _, text in lines}


def test_lidar_projects_onto_the_pixels_it_came_from(frame, tmp_path):
    write_calibration(tmp_path, camera_state(frame))
    cameras = numbers(tmp_path / 'calib_cam_to_cam.txt')
    velodyne = numbers(tmp_path / 'calib_velo_to_cam.txt')
    points = velodyne_points(frame.lidar_m, frame.camera_matrix)
    assert (points[:, 0] > 0).all(), 'x is ahead'
    below = points[points[:, 0] < 6][:, 2]
    assert (below < 0.5).all(), 'z is up'
    in_camera = velodyne['R'].reshape(3, 3) @ points[:, :3].T + velodyne['T'][:, None]
    projection = cameras['P_rect_02'].reshape(3, 4)
    u, v, z = projection @ np.vstack([in_camera, np.ones(len(points))])
    rows, columns = np.nonzero(frame.lidar_m)
    np.testing.assert_allclose(u / z, columns, atol=1e-3)
    np.testing.assert_allclose(v / z, rows, atol=1e-3)
    np.testing.assert_allclose(z, frame.lidar_m[rows, columns], rtol=1e-5)
    right = cameras['P_rect_03'].reshape(3, 4)
    assert -right[0, 3] / right[0, 0] == pytest.approx(frame.baseline_m)
    assert cameras['S_rect_02'].tolist() == [64, 48]


def mercator_pose(line, scale):
    """What the development kit of the set makes of a line of oxts."""
    latitude, longitude, altitude, roll, pitch, yaw = line[:6]
    radius = 6378137.0
    x = scale * radius * np.radians(longitude)
    y = scale * radius * np.log(np.tan(np.pi * (90 + latitude) / 360))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation(roll, pitch, yaw), (x, y, altitude)
    return pose


def test_poses_of_oxts_are_the_motion_of_the_camera(frame_at, tmp_path):
    times = np.arange(6) / 10
    states = [camera_state(frame_at(time_s)) for time_s in times]
    write_oxts(tmp_path, states, 10.0)
    lines = [np.array(p.read_text().split(), float) for p in sorted(tmp_path.iterdir())]
    assert [len(line) for line in lines] == [30] * 6
    scale = np.cos(np.radians(lines[0][0]))
    poses = [mercator_pose(line, scale) for line in lines]
    for index in range(1, 6):
        body_motion = np.linalg.inv(poses[0]) @ poses[index]
        camera_motion = CAMERA_FROM_VELODYNE @ body_motion @ np.linalg.inv(CAMERA_FROM_VELODYNE)
        true = np.linalg.inv(states[0].camera_pose) @ states[index].camera_pose
        np.testing.assert_allclose(camera_motion, true, atol=1e-4)
    # 20 m radius at 0.3 rad/s: 6 m/s ahead, turning to the right.
    assert lines[2][8] == pytest.approx(6.0, rel=0.02)
    assert lines[5][5] < lines[0][5], 'yaw counts to the left'


def test_a_scan_of_the_file_is_that_of_the_frame(frame, tmp_path):
    job = Job('train', 0, 5, '2000_01_01/2000_01_01_drive_0001_sync', 1, ())
    kitti.write_frame(tmp_path, job, frame)
    drive = tmp_path / job.group
    points = np.fromfile(drive / 'velodyne_points' / 'data' / '0000000005.bin', '<f4')
    assert points.size == 4 * np.count_nonzero(frame.lidar_m)
    for kind, depth_m in (('groundtruth', frame.depth_m), ('velodyne_raw', frame.lidar_m)):
        path = drive / 'proj_depth' / kind / 'image_02' / '0000000005.png'
        counts = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        expected = np.where(depth_m < 80, depth_m, 0)
        np.testing.assert_allclose(counts / 256, expected, atol=0.5 / 256)


@given(st.integers(1, 2000))
def test_drives_hold_as_many_frames_with_neighbors_as_asked_for(listed):
    lengths = kitti.drive_lengths(listed)
    assert sum(length - 2 for length in lengths) == listed
    assert min(lengths) >= 3 and max(lengths) <= kitti.DRIVE_FRAMES
    assert max(lengths) - min(lengths) <= 1


def test_lists_times_and_dates(frame_at, tmp_path):
    plan = ExportPlan('kitti', tmp_path, {'train': 30, 'val': 2}, rate_hz=4.0)
    jobs = kitti.LAYOUT.jobs(plan)
    assert len(jobs) == 30 + 2 * 2 + 2 + 2
    assert len({(job.seed, job.index) for job in jobs}) == len(jobs)
    states = [camera_state(frame_at(job.time_s)) for job in jobs]
    kitti.finish(tmp_path, plan, iter(zip(jobs, states, strict=True)))
    train = (tmp_path / 'splits' / 'train_files.txt').read_text().splitlines()
    val = (tmp_path / 'splits' / 'val_files.txt').read_text().splitlines()
    assert len(train) == 30
    assert val == [f'2000_01_03/2000_01_03_drive_0003_sync {index} l' for index in (1, 2)]
    drive = tmp_path / '2000_01_03' / '2000_01_03_drive_0003_sync'
    times = (drive / 'image_02' / 'timestamps.txt').read_text().splitlines()
    assert times == [f'2000-01-03 12:00:00.{ms:03d}000000' for ms in (0, 250, 500, 750)]
    assert (drive.parent / 'calib_velo_to_cam.txt').is_file()
