# SPDX-License-Identifier: Apache-2.0
"""CameraInfo messages for images that were resized, or that are not rectified.

They may be of rclpy or of the bag reader.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.camera_info import CameraInfo, calibrated_image_size, matrix_of

Array = npt.NDArray[np.float64]


def camera_info_at_size(info: CameraInfo, header: Any, *, width: int, height: int) -> CameraInfo:
    """Return the calibration of an image that was resized, content anchored top-left.

    K and P are scaled per axis, with the half-pixel shift of an image resized by pixel areas: what
    was at u lies at scale * (u + 0.5) - 0.5. Region of interest and binning, if any, become part
    of K and P as image_geometry applies them, so a resized image is given without both.

    Args:
        info: Calibration of the input image, whose width and height are not zero; left as it is.
        header: Header of the output.
        width: Width of the output in pixels.
        height: Height of the output in pixels.
    """
    scaled = copy.copy(info)
    scaled.header = header
    image_height, image_width = calibrated_image_size(info)
    if (image_height, image_width) != (height, width):
        axes = (
            _pixel_map(info.roi.x_offset, info.binning_x, width / image_width),
            _pixel_map(info.roi.y_offset, info.binning_y, height / image_height),
        )
        for name in ('k', 'p'):
            _set_matrix(scaled, name, _mapped_matrix(matrix_of(info, name), axes))
        scaled.width, scaled.height = width, height
        scaled.binning_x = scaled.binning_y = 0
        scaled.roi = copy.copy(info.roi)
        for name in ('x_offset', 'y_offset', 'height', 'width'):
            setattr(scaled.roi, name, 0)
    return scaled


def _pixel_map(offset: int, binning: int, scale: float) -> tuple[float, float]:
    """Return (factor, shift) that map a pixel of the calibration to one of the output."""
    factor = scale / max(binning, 1)
    return factor, 0.5 * (scale - 1.0) - factor * offset


def _mapped_matrix(matrix: Any, axes: tuple[tuple[float, float], tuple[float, float]]) -> Array:
    """Map the two upper rows of K (3x3) or P (3x4), given row by row."""
    values = [float(value) for value in matrix]
    columns = len(values) // 3
    for row, (factor, shift) in enumerate(axes):
        for column in range(columns):
            below = values[2 * columns + column]
            values[row * columns + column] *= factor
            values[row * columns + column] += shift * below
    return np.array(values)


def unrectified(info: CameraInfo) -> CameraInfo:
    """Return the calibration of an image that follows K, for those who read P.

    `depth_image_proc` and others project by P, which is that of the rectified image: here P
    becomes K and R the identity. The distortion stays and tells that they are less exact.
    """
    changed = copy.copy(info)
    k = [float(value) for value in matrix_of(info, 'k')]
    rows = (k[0:3], k[3:6], k[6:9])
    projection = np.array([value for row in rows for value in (*row, 0.0)])
    for name, value in (('p', projection), ('r', np.eye(3).ravel())):
        _set_matrix(changed, name, value)
    return changed


def _set_matrix(info: CameraInfo, name: str, values: Array) -> None:
    setattr(info, name if hasattr(info, name) else name.upper(), values)
