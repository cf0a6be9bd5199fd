# SPDX-License-Identifier: Apache-2.0
"""KITTI object detection set: single frames with lidar and labeled boxes.

    <root>/training/image_2/%06d.png      left color camera
    <root>/training/velodyne/%06d.bin     float32 x, y, z, reflectance
    <root>/training/calib/%06d.txt        P0 to P3, R0_rect, Tr_velo_to_cam
    <root>/training/label_2/%06d.txt      one object per line
    <root>/testing/...                    the same without label_2

A line of label_2: type, truncation (0 to 1), occlusion (0 to 3), observation angle [rad], the box
in the image left, top, right, bottom [px], height, width, length [m], the middle of the box's
bottom x, y, z in the rectified frame [m], yaw about Y [rad]. DontCare lines hold -1 and -1000.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.folders import DataSource, Frames, check_files, check_views, file_names
from training.data.images import read_rgb
from training.data.kitti_calibration import KittiCalibration, read_lines, read_object_calibration
from training.data.kitti_lidar import lidar_depth_m, read_velodyne
from training.data.kitti_splits import LEFT_CAMERA

Array = npt.NDArray[Any]

KITTI_OBJECT = DataSource(
    'KITTI object',
    """
    {training,testing}/image_2/%06d.png
    {training,testing}/calib/%06d.txt
    {training,testing}/velodyne/%06d.bin     for lidar
    training/label_2/%06d.txt                for boxes
    """,
    'register at https://www.cvlibs.net/datasets/kitti/eval_object.php?obj_benchmark=3d, download '
    'left color images, Velodyne point clouds, camera calibration matrices and training labels, '
    'unpack all in one folder.',
)

SPLITS = ('training', 'testing')
VIEWS = ('lidar', 'boxes')

_FOLDERS = {'lidar': ('velodyne', '.bin'), 'boxes': ('label_2', '.txt')}
_NUMBERS = 14


class KittiBox(NamedTuple):
    """A labeled object; units and frames as in the module's description."""

    type: str
    truncation: float
    occlusion: int
    alpha_rad: float
    left_px: float
    top_px: float
    right_px: float
    bottom_px: float
    height_m: float
    width_m: float
    length_m: float
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float


class KittiObjectSample(NamedTuple):
    """A frame of the object set.

    Attributes:
        name: six digits.
        rgb: uint8 [h, w, 3] of the left color camera.
        calibration: of all cameras and the lidar.
        camera_matrix: float64 [3, 3] of the left color camera.
        lidar_m: float32 [h, w], z of that camera's frame, 0 = no return; None if not asked for.
        boxes: labeled objects, DontCare included; None if not asked for.
    """

    name: str
    rgb: Array
    calibration: KittiCalibration
    camera_matrix: Array
    lidar_m: Array | None
    boxes: tuple[KittiBox, ...] | None


class KittiObject(Frames[KittiObjectSample]):
    """The object set.

    Args:
        root: folder with training/ and testing/.
        split: training or testing.
        views: of VIEWS; testing has no boxes.
        names: of the frames; None takes all on disk.

    Raises:
        ConfigError: split or a view is unknown, or boxes of testing are asked for.
        DatasetError: the set is missing or not complete.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = 'training',
        *,
        views: Sequence[str] = VIEWS,
        names: Sequence[str] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f'split must be one of {SPLITS}, got {split!r}')
        self.folder, self.views = Path(root) / split, check_views(views, VIEWS)
        if split == 'testing' and 'boxes' in self.views:
            raise ConfigError("testing has no labels: leave 'boxes' out of the views")
        files = file_names(self.folder / 'image_2', '.png')
        found = [file.removesuffix('.png') for file in files]
        self.names = tuple(found if names is None else names)
        folders = [
            ('image_2', '.png'),
            ('calib', '.txt'),
            *(_FOLDERS[view] for view in self.views),
        ]
        wanted = self.names or ('000000',)  # none at all: say what is missing
        files = [f'{split}/{folder}/{n}{suffix}' for folder, suffix in folders for n in wanted]
        check_files(Path(root), files, KITTI_OBJECT)

    def __len__(self) -> int:
        return len(self.names)

    def _read(self, index: int) -> KittiObjectSample:
        name = self.names[index]
        rgb = read_rgb(self.folder / 'image_2' / f'{name}.png')
        calibration = read_object_calibration(self.folder / 'calib' / f'{name}.txt')
        lidar_m = boxes = None
        if 'lidar' in self.views:
            points = read_velodyne(self.folder / 'velodyne' / f'{name}.bin')
            lidar_m = lidar_depth_m(points, calibration, LEFT_CAMERA, rgb.shape[:2])
        if 'boxes' in self.views:
            boxes = read_boxes(self.folder / 'label_2' / f'{name}.txt')
        matrix = calibration.camera_matrix(LEFT_CAMERA)
        return KittiObjectSample(name, rgb, calibration, matrix, lidar_m, boxes)


def read_boxes(path: Path) -> tuple[KittiBox, ...]:
    """Objects of a label file; none if it is empty.

    Raises:
        DatasetError: the file is missing, or a line is not as described.
    """
    return tuple(_box(line.split(), path) for line in read_lines(path))


def _box(words: list[str], path: Path) -> KittiBox:
    try:
        numbers = [float(word) for word in words[1:]]
        occlusion = int(words[2]) if len(words) > 2 else 0
    except ValueError:
        numbers = []
    if len(numbers) != _NUMBERS or not all(map(isfinite, numbers)):
        raise DatasetError(
            f'a line of a KITTI label must be a type and {_NUMBERS} numbers; {path} has '
            f'{" ".join(words)[:120]!r}'
        )
    return KittiBox(words[0], numbers[0], occlusion, *numbers[2:])
