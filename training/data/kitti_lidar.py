# SPDX-License-Identifier: Apache-2.0
"""KITTI lidar scans, and their points as depth images of a camera.

    velodyne_points/data/%010d.bin    raw drives
    velodyne/%06d.bin                 object and odometry sets

A scan is float32 x, y, z, reflectance per point, little endian, in the lidar's frame: x forward,
y left, z up, in meters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti_calibration import KittiCalibration

Array = npt.NDArray[Any]

MAX_POINTS = 2**20
"""Scans of more points are refused unread; the scanner gives about 2**17 a turn."""

_POINT_BYTES = 16


def read_velodyne(path: Path) -> Array:
    """Lidar points as float32 [n, 4]: x forward, y left, z up in meters; reflectance.

    Raises:
        DatasetError: the file is missing, empty, too large, cut off, or not of numbers.
    """
    if not path.is_file():
        raise DatasetError(f'{path} must exist; it is gone since the set was checked')
    size = path.stat().st_size
    if not 0 < size <= MAX_POINTS * _POINT_BYTES or size % _POINT_BYTES:
        raise DatasetError(
            f'a lidar scan must hold 1 to {MAX_POINTS} points of {_POINT_BYTES} bytes; {path} has '
            f'{size} bytes: it is damaged or cut off. Download or unpack it again.'
        )
    points = np.fromfile(path, '<f4').reshape(-1, 4)
    if not np.isfinite(points).all():
        raise DatasetError(f'{path} must hold finite numbers: it is damaged or no lidar scan')
    return points


def lidar_depth_m(
    points_m: Array, calibration: KittiCalibration, camera: int, size: tuple[int, int]
) -> Array:
    """Lidar points as the camera sees them.

    Args:
        points_m: float32 [n, 4] of read_velodyne.
        calibration: with the lidar's place.
        camera: 0 to 3.
        size: (height, width) of its images.

    Returns:
        float32 [h, w], z of the camera's frame in meters at the nearest pixel, the nearest return
        where several meet; 0: no return.
    """
    pixels, depth = _project(points_m, calibration, camera)
    front = depth > 0
    return depth_image(np.rint(pixels[front]), depth[front], size)


def eigen_depth_m(
    points_m: Array, calibration: KittiCalibration, camera: int, size: tuple[int, int]
) -> Array:
    """Ground truth of the Eigen protocol, for figures that compare with published ones.

    It differs from `lidar_depth_m` in three ways: the value is the *lidar's* x, not the camera's
    z; points with x < 0 are left out, not those behind the camera; and pixels are round(u) - 1, as
    in KITTI's MATLAB code, up and left by one from where pixel centers at whole numbers are.
    The reference keys pixels by row * (width - 1) + column, so that in its first and last columns
    two pixels may share a minimum; here they do not. The Garg crop leaves these columns out.

    Args and returned array: as for `lidar_depth_m`.

    Reference: generate_depth_map(vel_depth=True) of github.com/nianticlabs/monodepth2.
    """
    points_m = points_m[points_m[:, 0] >= 0]
    pixels, _ = _project(points_m, calibration, camera)
    return depth_image(np.rint(pixels) - 1, points_m[:, 0], size)


def _project(points_m: Array, calibration: KittiCalibration, camera: int) -> tuple[Array, Array]:
    """Pixels (u, v) float64 [n, 2], and z of the camera's frame [n]."""
    if calibration.rectified_from_velodyne is None:
        raise ConfigError('the calibration must have the place of the lidar; this one does not')
    matrix = calibration.projection(camera) @ calibration.rectified_from_velodyne
    projected = points_m[:, :3].astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    with np.errstate(divide='ignore', invalid='ignore'):
        return projected[:, :2] / projected[:, 2:], projected[:, 2]


def depth_image(pixels: Array, depth_m: Array, size: tuple[int, int]) -> Array:
    """Depths at their pixels, the nearest where several meet.

    Args:
        pixels: whole columns and rows [n, 2], also such beyond the image.
        depth_m: [n].
        size: (height, width).

    Returns:
        float32 [height, width], 0 where there is none.
    """
    height, width = size
    # Compared as floats: a point near the camera's plane may lie beyond any integer.
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    columns, rows = pixels[inside].astype(np.int64).T
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, rows * width + columns, depth_m[inside].astype(np.float32))
    nearest[np.isinf(nearest)] = 0
    return nearest.reshape(height, width)
