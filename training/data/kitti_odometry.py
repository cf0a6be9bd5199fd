# SPDX-License-Identifier: Apache-2.0
"""A sequence of the KITTI odometry set: consecutive frames with their poses.

    <root>/sequences/<NN>/image_{0,1}/%06d.png    gray cameras, left and right
    <root>/sequences/<NN>/image_{2,3}/%06d.png    color cameras, left and right
    <root>/sequences/<NN>/calib.txt               P0 to P3; Tr: lidar -> rectified frame
    <root>/poses/<NN>.txt                         a line per frame: 3x4 row-major, sequences 00-10

A pose takes points of camera 0 at that frame to camera 0 at the first frame. The poses may also
be sequences/<NN>/poses.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.folders import DataSource, Frames, check_files, file_names
from training.data.images import read_gray, read_rgb
from training.data.kitti_calibration import (
    CAMERAS,
    read_lines,
    read_odometry_calibration,
    rigid_transform,
)

Array = npt.NDArray[Any]

KITTI_ODOMETRY = DataSource(
    'a KITTI odometry sequence',
    """
    image_{0,1,2,3}/%06d.png
    calib.txt
    poses.txt, or ../../poses/<NN>.txt
    """,
    'register at https://www.cvlibs.net/datasets/kitti/eval_odometry.php, download the gray or '
    'color images, the calibration files and the ground truth poses, unpack all in one folder. '
    'Only sequences 00 to 10 have poses. A part of a sequence is read with `frames`.',
)

_COLOR_CAMERAS = (2, 3)


class OdometrySample(NamedTuple):
    """A frame with both neighbors.

    Attributes:
        number: of the frame in the sequence.
        image, previous, next: uint8 [h, w] of a gray camera, [h, w, 3] RGB of a color camera; not
            `rgb`, as the set's first two cameras are gray.
        camera_matrix: float64 [3, 3].
        camera_pose: float64 [4, 4], points of this camera's frame -> camera 0 at the first frame.
        previous_from_camera, next_from_camera: float64 [4, 4], points of this camera's frame ->
            frame of the same camera one frame earlier and later.
    """

    number: int
    image: Array
    previous: Array
    next: Array
    camera_matrix: Array
    camera_pose: Array
    previous_from_camera: Array
    next_from_camera: Array


class KittiOdometry(Frames[OdometrySample]):
    """A sequence; its first and last frame are neighbors only, not samples.

    Args:
        sequence: folder of the sequence.
        camera: 0 to 3.
        frames: which images to use, consecutive; None: as many as there are poses.

    Raises:
        ConfigError: the camera is unknown, or frames are fewer than 3 or not consecutive.
        DatasetError: a file is missing or damaged, or there are fewer poses than frames.
    """

    def __init__(
        self, sequence: Path | str, *, camera: int = 0, frames: range | None = None
    ) -> None:
        if camera not in CAMERAS:
            raise ConfigError(f'camera must be one of {CAMERAS}, got {camera}')
        self.sequence, self.camera = Path(sequence), camera
        check_files(self.sequence, ['calib.txt'], KITTI_ODOMETRY)
        self.calibration = read_odometry_calibration(self.sequence / 'calib.txt')
        poses = read_poses(_poses_file(self.sequence))
        self.frames = range(len(poses)) if frames is None else frames
        self._require_frames(len(poses))
        check_files(self.sequence, map(self._file, self.frames), KITTI_ODOMETRY)
        # The poses are those of camera 0, which stands in the rectified frame.
        rectified_from_camera = np.linalg.inv(self.calibration.camera_from_rectified(camera))
        self.camera_poses = poses @ rectified_from_camera

    def __len__(self) -> int:
        return len(self.frames) - 2

    def _read(self, index: int) -> OdometrySample:
        frame = self.frames[index + 1]
        before, pose, after = self.camera_poses[frame - 1 : frame + 2]
        return OdometrySample(
            frame,
            self._image(frame),
            self._image(frame - 1),
            self._image(frame + 1),
            self.calibration.camera_matrix(self.camera),
            pose,
            np.linalg.inv(before) @ pose,
            np.linalg.inv(after) @ pose,
        )

    def _require_frames(self, poses: int) -> None:
        if self.frames.step != 1 or self.frames.start < 0 or len(self.frames) < 3:
            raise ConfigError(f'frames must be at least 3 consecutive ones, got {self.frames}')
        if self.frames.stop > poses:
            raise DatasetError(
                f'every frame must have a pose; {_poses_file(self.sequence)} has {poses}, frames '
                f'up to {self.frames.stop - 1} were asked for'
            )

    def _file(self, frame: int) -> str:
        return f'image_{self.camera}/{frame:06d}.png'

    def _image(self, frame: int) -> Array:
        read = read_rgb if self.camera in _COLOR_CAMERAS else read_gray
        return read(self.sequence / self._file(frame))


def read_poses(path: Path) -> Array:
    """Poses of a sequence as float64 [n, 4, 4].

    Raises:
        DatasetError: the file is missing or empty, or a line is no pose.
    """
    lines = read_lines(path)
    if not lines:
        raise DatasetError(f'{path} must hold a pose per frame; it is empty')
    return np.stack([_pose(line, f'line {i + 1} of {path}') for i, line in enumerate(lines)])


def _pose(line: str, name: str) -> Array:
    try:
        matrix = np.array([float(word) for word in line.split()])
    except ValueError:
        matrix = np.empty(0)
    if matrix.size != 12 or not np.isfinite(matrix).all():
        raise DatasetError(f'{name} must hold 12 finite numbers, has {line[:80]!r}: damaged?')
    return rigid_transform(matrix.reshape(3, 4), name)


def _poses_file(sequence: Path) -> Path:
    """The set's own place for poses, unless they are in the sequence's folder."""
    beside = sequence.parent.parent / 'poses' / f'{sequence.name}.txt'
    if 'poses.txt' in file_names(sequence):
        return sequence / 'poses.txt'
    if not beside.is_file():
        raise DatasetError(
            f'a KITTI odometry sequence must have its poses at {sequence / "poses.txt"} or '
            f'{beside}; there are none.\nHow to get it: {KITTI_ODOMETRY.how_to_get}'
        )
    return beside
