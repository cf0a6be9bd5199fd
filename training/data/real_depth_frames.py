# SPDX-License-Identifier: Apache-2.0
"""Real images for depth by set, with focal length and lidar where these are known.

Below the folder that KD_PERCEPTION_REAL_DATA names, whose files are no part of this repository:

    kitti_object/              as `training.data.kitti_object` has it: calibrated, with lidar
    kitti_odom_mono/*/         image_0/*.png in gray, calib.txt: calibrated
    rtfnet_tiles, msrs_pairs   color halves, see `training.data.real_frames`: no calibration
    nyu_mini/images/*.jpg      a room; no calibration
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import DatasetError
from kd_perception.evaluation.image_folder import read_frame
from kd_perception.frames import Frame
from training.data.images import read_rgb
from training.data.kitti_calibration import read_odometry_calibration
from training.data.kitti_object import KittiObject
from training.data.real_frames import find_real_sets
from training.data.real_tiles import real_data_folder

Array = npt.NDArray[Any]


class RealDepthFrame(NamedTuple):
    """One image.

    Attributes:
        name: in its set.
        frame: image with its encoding.
        focal_px: horizontal focal length at the size of the image; None where it is not known.
        target_m: lidar depth, float32 [height, width], NaN where no point is; None without lidar.
    """

    name: str
    frame: Frame
    focal_px: float | None = None
    target_m: Array | None = None


def load_real_depth_sets() -> dict[str, list[RealDepthFrame]]:
    """The sets that are there, by name.

    Raises:
        DatasetError: there is none, or one is damaged or not complete.
    """
    root = real_data_folder()
    found = {
        'kitti_object': _kitti_object(root / 'kitti_object'),
        'kitti_odom_mono': _kitti_odometry(root / 'kitti_odom_mono'),
        **_color_halves(),
        'nyu_mini': [
            RealDepthFrame(path.stem, _color(read_rgb(path)))
            for path in sorted(root.glob('nyu_mini/images/*.jpg'))
        ],
    }
    sets = {name: frames for name, frames in found.items() if frames}
    if not sets:
        raise DatasetError(
            f'real images must lie in folders of {root} such as kitti_object; it has none of '
            'those that are known: set KD_PERCEPTION_REAL_DATA'
        )
    return sets


def _kitti_object(root: Path) -> list[RealDepthFrame]:
    if not root.is_dir():
        return []
    frames = []
    for sample in KittiObject(root, views=('lidar',)):
        assert sample.lidar_m is not None
        target_m = np.where(sample.lidar_m > 0.0, sample.lidar_m, np.float32(np.nan))
        focal_px = float(sample.camera_matrix[0, 0])
        frames.append(RealDepthFrame(sample.name, _color(sample.rgb), focal_px, target_m))
    return frames


def _kitti_odometry(root: Path) -> list[RealDepthFrame]:
    frames = []
    for calibration in sorted(root.glob('*/calib.txt')):
        focal_px = float(read_odometry_calibration(calibration).camera_matrix(_GRAY_CAMERA)[0, 0])
        frames += [
            RealDepthFrame(path.stem, read_frame(path), focal_px)
            for path in sorted(calibration.parent.glob(f'image_{_GRAY_CAMERA}/*.png'))
        ]
    return frames


def _color_halves() -> dict[str, list[RealDepthFrame]]:
    return {
        name: [RealDepthFrame(f.name, _color(f.rgb)) for f in frames if f.rgb is not None]
        for name, frames in find_real_sets().items()
    }


def _color(rgb: Array) -> Frame:
    return Frame(rgb, 'rgb8', 0)


_GRAY_CAMERA = 0
