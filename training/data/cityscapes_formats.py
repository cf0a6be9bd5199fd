# SPDX-License-Identifier: Apache-2.0
"""What single files of Cityscapes hold: disparity, depth, instances, the stereo camera.

*_disparity.png                   uint16 p: (p - 1) / 256 px where p > 0; p = 0 is invalid
*_instanceIds.png                 uint16: 1000 * label id + number for things, else label id
*_camera.json                     intrinsic fx, fy, u0, v0 [px]; extrinsic baseline [m]
*_labelTrainIds.png               uint8 train ids, 255 = void
"""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from kd_perception.errors import DatasetError
from kd_perception.label_sets import CITYSCAPES, LabelSet
from training.data.images import read_u16
from training.disparity import depth_from_disparity

Array = npt.NDArray[Any]

TRAIN_IDS = LabelSet('Cityscapes (train ids)', CITYSCAPES.names, CITYSCAPES.colors)
"""Of labelTrainIds images: file ids are train ids."""

_MAX_CAMERA_BYTES = 2**16
_DISPARITY_UNITS_PER_PX = 256.0
_IDS_PER_CLASS = 1000


class CityscapesCamera(NamedTuple):
    """The stereo camera: float64 [3, 3] of the left one, and the distance of the right one."""

    matrix: Array
    baseline_m: float

    def depth_m(self, disparity_px: Array) -> Array:
        """Depth along z as float32 [h, w] in meters, 0 where the disparity is 0."""
        focal_px, baseline_m = torch.tensor([[self.matrix[0, 0]], [self.baseline_m]]).float()
        depth = depth_from_disparity(torch.from_numpy(disparity_px)[None], focal_px, baseline_m)
        return np.asarray(depth[0].numpy())


def read_disparity_px(path: Path) -> Array:
    """Disparity as float32 [h, w] in pixels, 0 = invalid.

    Raises:
        DatasetError: the file is missing, damaged, or not of 16 bits.
    """
    units = read_u16(path).astype(np.float32)
    return np.asarray(np.maximum(units - 1, 0) / np.float32(_DISPARITY_UNITS_PER_PX))


def read_instances(path: Path) -> Array:
    """Instance ids as int32 [h, w], 1000 * label id + number; 0 where the class has none.

    Raises:
        DatasetError: the file is missing, damaged, not of 16 bits, or holds other ids.
    """
    ids = read_u16(path).astype(np.int32)
    label = np.where(ids < _IDS_PER_CLASS, ids, ids // _IDS_PER_CLASS)
    if label.max() > max(CITYSCAPES.id_map):
        raise DatasetError(f'{path} must hold instance ids of Cityscapes, has {ids.max()}')
    return np.where(ids < _IDS_PER_CLASS, 0, ids)


def read_camera(path: Path) -> CityscapesCamera:
    """The stereo camera of a camera.json.

    Raises:
        DatasetError: the file is missing or damaged, or lacks an entry.
    """
    try:
        if path.stat().st_size > _MAX_CAMERA_BYTES:
            raise ValueError(f'it has more than {_MAX_CAMERA_BYTES} bytes')
        entries = json.loads(path.read_text(encoding='utf-8'))
        values = [float(entries['intrinsic'][key]) for key in ('fx', 'fy', 'u0', 'v0')]
        baseline_m = float(entries['extrinsic']['baseline'])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f'{path} must be JSON with intrinsic fx, fy, u0, v0 and extrinsic baseline; it is '
            f'not: {error!r}'
        ) from error
    fx, fy, u0, v0 = values
    if not (all(map(isfinite, [*values, baseline_m])) and min(fx, fy, baseline_m) > 0):
        raise DatasetError(f'{path} must hold a positive baseline and focal lengths')
    return CityscapesCamera(np.array([[fx, 0, u0], [0, fy, v0], [0, 0, 1.0]]), baseline_m)
