# SPDX-License-Identifier: Apache-2.0
"""Calibration of the KITTI cameras and lidar.

    calib_cam_to_cam.txt      raw drives: S_rect_0x [2], R_rect_00 [3,3], P_rect_0x [3,4]
    calib_velo_to_cam.txt     raw drives: R [3,3], T [3]
    calib/NNNNNN.txt          object set: P0 to P3 [3,4], R0_rect [3,3], Tr_velo_to_cam [3,4]
    calib.txt                 odometry set: P0 to P3, Tr [3,4]; some copies: P0, P1 unnamed

Lines are `name: numbers` in row-major order; S_rect is width and height. All four cameras share
one rectified frame, that of camera 0, with x right, y down and z forward in meters; they differ by
a translation, which stands in the fourth column of their projection. Pixel centers are at whole
numbers, as KITTI counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError

Array = npt.NDArray[Any]

CAMERAS = (0, 1, 2, 3)

_MAX_TEXT_BYTES = 2**22
_ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class KittiCalibration:
    """Where the cameras and the lidar stand.

    Args:
        projections: camera -> float64 [3, 4], rectified frame -> pixels.
        rectified_from_velodyne: float64 [4, 4]; None where the file does not give it.
        sizes: camera -> (height, width) of its images; empty where the file does not give it.
    """

    projections: Mapping[int, Array]
    rectified_from_velodyne: Array | None = None
    sizes: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def projection(self, camera: int) -> Array:
        """Rectified frame -> pixels of a camera, float64 [3, 4].

        Raises:
            ConfigError: the calibration does not have this camera.
        """
        if camera not in self.projections:
            raise ConfigError(f'camera must be one of {[*self.projections]}, got {camera}')
        return self.projections[camera]

    def camera_matrix(self, camera: int) -> Array:
        """Intrinsics of a camera, float64 [3, 3]."""
        return self.projection(camera)[:, :3].copy()

    def camera_from_rectified(self, camera: int) -> Array:
        """Points of the rectified frame -> frame of a camera, float64 [4, 4], a translation."""
        moved = np.eye(4)
        column = self.projection(camera)[:, 3]
        moved[:3, 3] = np.linalg.solve(self.camera_matrix(camera), column)
        return moved

    def other_from_camera(self, other: int, camera: int) -> Array:
        """Points of a camera's frame -> frame of another camera, float64 [4, 4]."""
        moved = self.camera_from_rectified(other)
        moved[:3, 3] -= self.camera_from_rectified(camera)[:3, 3]
        return moved

    def baseline_m(self, left: int, right: int) -> float:
        """How far the right camera stands along +X of the left one; negative if swapped."""
        return float(-self.other_from_camera(right, left)[0, 3])


def read_raw_calibration(folder: Path) -> KittiCalibration:
    """Calibration of one day of raw drives.

    Args:
        folder: <root>/<date>.

    Raises:
        DatasetError: a file is missing or damaged, or lacks an entry.
    """
    cameras = _Entries(folder / 'calib_cam_to_cam.txt')
    velodyne = _Entries(folder / 'calib_velo_to_cam.txt')
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = velodyne.rotation('R'), velodyne.array('T', 3)
    rectify = np.eye(4)
    rectify[:3, :3] = cameras.rotation('R_rect_00')
    sizes = {camera: cameras.size(f'S_rect_0{camera}') for camera in CAMERAS}
    projections = {camera: cameras.projection(f'P_rect_0{camera}') for camera in CAMERAS}
    return KittiCalibration(projections, rectify @ rigid, sizes)


def read_object_calibration(path: Path) -> KittiCalibration:
    """Calibration of one frame of the object set.

    Raises:
        DatasetError: the file is missing or damaged, or lacks an entry.
    """
    entries = _Entries(path)
    rectify = np.eye(4)
    rectify[:3, :3] = entries.rotation('R0_rect')
    projections = {camera: entries.projection(f'P{camera}') for camera in CAMERAS}
    return KittiCalibration(projections, rectify @ entries.rigid('Tr_velo_to_cam'))


def read_odometry_calibration(path: Path) -> KittiCalibration:
    """Calibration of a sequence of the odometry set; the lidar's place may be absent.

    Raises:
        DatasetError: the file is missing or damaged, or has no projection.
    """
    entries = _Entries(path, unnamed='P')
    names = {camera: f'P{camera}' for camera in CAMERAS if f'P{camera}' in entries.values}
    if not names:
        raise DatasetError(f'{path} must hold a projection P0 to P3; it holds none')
    projections = {camera: entries.projection(name) for camera, name in names.items()}
    return KittiCalibration(projections, entries.rigid('Tr') if 'Tr' in entries.values else None)


class _Entries:
    """The named numbers of a calibration file; what is no number, such as dates, is left out."""

    def __init__(self, path: Path, unnamed: str | None = None) -> None:
        self.path = path
        self.values: dict[str, Array] = {}
        for line in read_lines(path):
            name, colon, text = line.partition(':')
            if not colon and unnamed:
                name, text = f'{unnamed}{len(self.values)}', line
            numbers = _numbers(text)
            if numbers is not None:
                self.values[name.strip()] = numbers

    def array(self, name: str, *shape: int) -> Array:
        values = self.values.get(name)
        if values is None or values.size != np.prod(shape) or not np.isfinite(values).all():
            has = 'no such entry' if values is None else f'{values.size} numbers: {values}'
            raise DatasetError(
                f'{self.path} must hold {name} of {np.prod(shape)} finite numbers; it has {has}'
            )
        return values.reshape(shape)

    def rotation(self, name: str) -> Array:
        return require_rotation(self.array(name, 3, 3), f'{name} of {self.path}')

    def rigid(self, name: str) -> Array:
        return rigid_transform(self.array(name, 3, 4), f'{name} of {self.path}')

    def projection(self, name: str) -> Array:
        matrix = self.array(name, 3, 4)
        if min(matrix[0, 0], matrix[1, 1]) <= 0 or tuple(matrix[2, :3]) != (0, 0, 1):
            raise DatasetError(f'{name} of {self.path} must project z onto z, has {matrix}')
        return matrix

    def size(self, name: str) -> tuple[int, int]:
        width, height = self.array(name, 2)
        if not (1 <= width <= 2**14 and 1 <= height <= 2**14):
            raise DatasetError(f'{name} of {self.path} must be a size in pixels')
        return int(height), int(width)


def read_lines(path: Path) -> list[str]:
    """Lines of a small text file that are not blank.

    Raises:
        DatasetError: the file is missing, too large, or not text.
    """
    if not path.is_file():
        raise DatasetError(f'{path} must exist; it does not. Unpack the calibration files, too.')
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise DatasetError(f'{path} must have {_MAX_TEXT_BYTES} bytes at most')
    try:
        text = path.read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise DatasetError(f'{path} must be text; it is not: {error}') from None
    return [line for line in text.splitlines() if line.strip()]


def rigid_transform(matrix: Array, name: str) -> Array:
    """[R|t] float64 [3, 4] as float64 [4, 4].

    Raises:
        DatasetError: R is no rotation; `name` says of what.
    """
    require_rotation(matrix[:, :3], name)
    return np.vstack([matrix, (0.0, 0.0, 0.0, 1.0)])


def require_rotation(matrix: Array, name: str) -> Array:
    """The matrix itself.

    Raises:
        DatasetError: it is no rotation; `name` says of what.
    """
    off = np.abs(matrix @ matrix.T - np.eye(3)).max()
    if not off < _ROTATION_TOLERANCE or np.linalg.det(matrix) < 0:
        raise DatasetError(f'{name} must be a rotation; it is off by {off:.3g}: damaged?')
    return matrix


def _numbers(text: str) -> Array | None:
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError:
        return None
