# SPDX-License-Identifier: Apache-2.0
"""True depth of a recording, dense or sparse: from a topic of the bag, or a folder of files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage
from kd_perception.encodings import frame_from_message
from kd_perception.errors import ConfigError, ImageEncodingError
from kd_perception.evaluation.labels import LabelKind
from kd_perception.frames import Float32Image, Image

_MILLIMETER = 0.001


def depth_targets(file_scale: float = _MILLIMETER) -> LabelKind:
    """Describe how true depth is read; NaN is no measurement.

    Args:
        file_scale: Meters per count of files of 16 bit; 1/256 for those of KITTI.

    Raises:
        ConfigError: The scale is not above 0.
    """
    if not 0.0 < file_scale < 1.0e3:
        raise ConfigError(f'the scale of depth files must be above 0; received {file_scale}')
    return LabelKind(
        depth_from_message,
        lambda path: depth_from_file(path, file_scale),
        ('.png', '.tif', '.tiff', '.npy'),
        default_depth_topic,
    )


def default_depth_topic(bag: BagReader, image_topic: str) -> str:
    """Return ``depth/image`` or ``depth`` beside or above the images; empty without one."""
    base = image_topic.removesuffix('/compressed').rpartition('/')[0]
    parent = base.rpartition('/')[0]
    names = (f'{base}/depth/image', f'{base}/depth', f'{parent}/depth')
    return next((name for name in names if name in bag.topics), '')


def depth_from_message(message: BagMessage) -> Float32Image:
    """Read depth [m]: 32FC1 in meters, or 16UC1 and mono16 in millimeters (REP 118).

    Raises:
        BagError: The message is damaged.
        ImageEncodingError: It is not a depth image.
    """
    try:
        return _meters(frame_from_message(message.deserialize()).image, _MILLIMETER)
    except ImageEncodingError as error:
        raise ImageEncodingError(f'{message.topic}: {error}') from error


def depth_from_file(path: Path, scale: float) -> Float32Image:
    """Read depth [m] from an image of 16 bit, or from a NumPy array in meters.

    Raises:
        ImageEncodingError: The file is neither.
    """
    try:
        if path.suffix.lower() == '.npy':
            image = np.load(path, allow_pickle=False)
        else:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError) as error:
        raise ImageEncodingError(f'{path} must be a depth file: {error}') from error
    if image is None:
        raise ImageEncodingError(f'{path} must be an image file of depth; it is not')
    try:
        return _meters(image, scale)
    except ImageEncodingError as error:
        raise ImageEncodingError(f'{path}: {error}') from error


def _meters(image: Image, scale: float) -> Float32Image:
    if image.ndim != 2 or image.dtype.name not in ('uint16', 'float32', 'float64'):
        raise ImageEncodingError(
            'true depth must be one channel of 16 bit or of floats in meters; received shape '
            f'{image.shape} and type {image.dtype}'
        )
    depth = image.astype(np.float32)
    if image.dtype.kind == 'u':
        depth *= np.float32(scale)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth
