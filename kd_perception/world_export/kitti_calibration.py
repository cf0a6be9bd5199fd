# SPDX-License-Identifier: Apache-2.0
"""Calibration, lidar and inertial files of KITTI raw drives, from the true geometry.

The inertial unit sits in the lidar, and all cameras but the right one in one place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.world import WorldFrame
from kd_perception.world_export.body_frame import BODY_FROM_OPTICAL, body_pose, roll_pitch_yaw
from kd_perception.world_export.layout import write_lines
from kd_perception.world_export.pictures import Array

CAMERA_FROM_VELODYNE: Final = np.block(
    [[BODY_FROM_OPTICAL.T, np.array([[0.0], [-0.08], [-0.27]])], [np.zeros(3), np.ones(1)]]
)
"""The lidar stands 8 cm above and 27 cm behind the left camera; float64 [4, 4]."""

_EARTH_RADIUS_M = 6378137.0
_LATITUDE, _LONGITUDE, _ALTITUDE_M = 49.0, 8.4, 0.0  # where the world's origin is put
_REFLECTANCE = 0.3
_RIGHT_CAMERA = 3


class CameraState(NamedTuple):
    """What calibration and inertial files need of a frame."""

    camera_matrix: Array
    baseline_m: float
    image_size: tuple[int, int]
    camera_pose: Array


def camera_state(frame: WorldFrame) -> CameraState:
    """Return what of a frame goes to `write_calibration` and `write_oxts`."""
    height, width = frame.label.shape
    return CameraState(frame.camera_matrix, frame.baseline_m, (height, width), frame.camera_pose)


def velodyne_points(lidar_m: Array, camera_matrix: Array) -> npt.NDArray[np.float32]:
    """Turn a sparse depth image into the points that project onto its pixels.

    Args:
        lidar_m: HxW depth [m], 0 = no return.
        camera_matrix: float [3, 3].

    Returns:
        Points of the lidar's frame, float32 [points, 4]: x forward, y left, z up [m], reflectance
        (constant: the world has none).
    """
    rows, columns = np.nonzero(lidar_m)
    depth_m = lidar_m[rows, columns].astype(np.float64)
    pixels = np.stack([columns, rows, np.ones(len(rows))])
    in_camera = np.linalg.solve(camera_matrix, pixels) * depth_m
    homogeneous = np.vstack([in_camera, np.ones(len(rows))])
    points = np.full((len(rows), 4), _REFLECTANCE, np.float32)
    points[:, :3] = np.linalg.solve(CAMERA_FROM_VELODYNE, homogeneous)[:3].T
    return points


def write_calibration(folder: Path, state: CameraState) -> None:
    """Write the calibration files of a date."""
    write_lines(folder / 'calib_cam_to_cam.txt', _camera_lines(state))
    rotation, offset = CAMERA_FROM_VELODYNE[:3, :3], CAMERA_FROM_VELODYNE[:3, 3]
    write_lines(folder / 'calib_velo_to_cam.txt', _rigid_lines(rotation, offset))
    write_lines(folder / 'calib_imu_to_velo.txt', _rigid_lines(np.eye(3), np.zeros(3)))


def _rigid_lines(rotation: Array, offset: Array) -> list[str]:
    return [f'R: {_numbers(rotation)}', f'T: {_numbers(offset)}']


def _camera_lines(state: CameraState) -> list[str]:
    height, width = state.image_size
    lines = ['corner_dist: 1.000000e-01']
    for camera in range(4):
        shift = np.zeros((3, 1))
        if camera == _RIGHT_CAMERA:
            shift[0, 0] = -state.camera_matrix[0, 0] * state.baseline_m
        size = _numbers(np.array([width, height]))
        lines += [
            f'S_{camera:02d}: {size}',
            f'K_{camera:02d}: {_numbers(state.camera_matrix)}',
            f'D_{camera:02d}: {_numbers(np.zeros(5))}',
            f'R_{camera:02d}: {_numbers(np.eye(3))}',
            f'T_{camera:02d}: {_numbers(np.linalg.solve(state.camera_matrix, shift))}',
            f'S_rect_{camera:02d}: {size}',
            f'R_rect_{camera:02d}: {_numbers(np.eye(3))}',
            f'P_rect_{camera:02d}: {_numbers(np.hstack([state.camera_matrix, shift]))}',
        ]
    return lines


def _numbers(array: Array) -> str:
    # 17 digits give back the very same number.
    return ' '.join(f'{value:.16e}' for value in np.asarray(array, np.float64).ravel())


def write_oxts(folder: Path, states: list[CameraState], rate_hz: float) -> None:
    """Write the poses of a drive as an inertial unit with GPS gives them.

    Position and orientation are exact, velocities are differences of positions; accelerations and
    turn rates are 0, and accuracies nominal.

    Args:
        folder: `oxts/data` of the drive.
        states: Of its frames, in order.
        rate_hz: Frames per second.
    """
    mounting = np.eye(4)
    mounting[:3, 3] = CAMERA_FROM_VELODYNE[:3, 3]
    poses = [body_pose(state.camera_pose @ mounting) for state in states]
    positions = np.array([pose[:3, 3] for pose in poses])
    moved = np.gradient(positions, 1.0 / rate_hz, axis=0) if len(poses) > 1 else positions * 0
    for index, (pose, velocity) in enumerate(zip(poses, moved, strict=True)):
        write_lines(folder / f'{index:010d}.txt', [_oxts_line(pose, velocity)])


def _oxts_line(pose: Array, velocity: Array) -> str:
    east, north, up = pose[:3, 3]
    radius_m = _EARTH_RADIUS_M * np.cos(np.radians(_LATITUDE))  # of the Mercator map
    mercator = np.log(np.tan(np.radians(90.0 + _LATITUDE) / 2)) + north / radius_m
    latitude = np.degrees(2 * np.arctan(np.exp(mercator))) - 90.0
    longitude = _LONGITUDE + np.degrees(east / radius_m)
    forward, left, upward = pose[:3, :3].T @ velocity
    place = [latitude, longitude, _ALTITUDE_M + up, *roll_pitch_yaw(pose[:3, :3])]
    speeds = [velocity[1], velocity[0], forward, left, upward]
    numbers = ' '.join(f'{value:.15g}' for value in [*place, *speeds, *[0.0] * 12, 0.01, 0.01])
    return f'{numbers} 4 10 4 4 0'
