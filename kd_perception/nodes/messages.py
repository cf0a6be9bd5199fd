# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays and back: what `kd_perception.encodings` does, on real ROS messages."""

from __future__ import annotations

import array
import copy
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from kd_perception import encodings
from kd_perception.bundle import Student
from kd_perception.camera_info import calibrated_image_size, nanoseconds_from_stamp
from kd_perception.encodings import buffer_from_image
from kd_perception.errors import ImageEncodingError
from kd_perception.frames import Frame

try:  # part of every ROS installation, and not on PyPI
    from cv_bridge import CvBridge
except ImportError:
    CvBridge = None

__all__ = [
    'calibrated_image_size',
    'camera_info_at_size',
    'diagnostic_array',
    'diagnostic_status',
    'frame_from_message',
    'image_message',
    'label_info_message',
    'nanoseconds_from_stamp',
]


_SENSOR_COLOR = ('bayer_', 'yuv422')


def frame_from_message(message: Any) -> Frame:
    """Read a sensor_msgs/Image or sensor_msgs/CompressedImage.

    The encodings of :mod:`kd_perception.encodings` are read there. Bayer and YUV images, for users
    who allow color input, go through cv_bridge where it is installed.

    Raises:
        ImageEncodingError: The encoding is not supported, or the buffer is not what the header
            says.
    """
    if CvBridge is None or not getattr(message, 'encoding', '').startswith(_SENSOR_COLOR):
        return encodings.frame_from_message(message)
    encodings.check_buffer_size(
        len(message.data), message.height, message.width, message.step, row_bytes=message.width
    )
    try:
        image = CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except Exception as error:  # it raises its own kinds, TypeError and those of OpenCV
        raise ImageEncodingError(
            f'cv_bridge cannot convert {message.encoding}: {error}'
        ) from error
    stamp_ns = nanoseconds_from_stamp(message.header.stamp)
    return Frame(image, 'rgb8', stamp_ns, message.header.frame_id)


def image_message(header: Any, image: npt.NDArray[Any]) -> Image:
    """Make a sensor_msgs/Image with the given header, which is not copied.

    Args:
        header: The input image's header; every output of a frame carries the same one.
        image: HxW uint8, uint16 or float32, or HxWx3 uint8 RGB.

    Raises:
        ImageEncodingError: Another type or shape.
    """
    buffer, encoding, step = buffer_from_image(image)
    # rclpy checks every element of anything but an array.array: 57 ms instead of 0.2 per image.
    data = array.array('B')
    data.frombytes(buffer)
    message = Image(height=image.shape[0], width=image.shape[1], encoding=encoding, step=step)
    message.header = header
    message.data = data
    return message


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
        scaled.k, scaled.p = _mapped_matrix(info.k, axes), _mapped_matrix(info.p, axes)
        scaled.width, scaled.height = width, height
        scaled.binning_x = scaled.binning_y = 0
        scaled.roi = RegionOfInterest()
    return scaled


def _pixel_map(offset: int, binning: int, scale: float) -> tuple[float, float]:
    """Return (factor, shift) that map a pixel of the calibration to one of the output."""
    factor = scale / max(binning, 1)
    return factor, 0.5 * (scale - 1.0) - factor * offset


def _mapped_matrix(
    matrix: Any, axes: tuple[tuple[float, float], tuple[float, float]]
) -> list[float]:
    """Map the two upper rows of K (3x3) or P (3x4), given row by row."""
    values = [float(value) for value in matrix]
    columns = len(values) // 3
    for row, (factor, shift) in enumerate(axes):
        for column in range(columns):
            below = values[2 * columns + column]
            values[row * columns + column] *= factor
            values[row * columns + column] += shift * below
    return values


def label_info_message(vision_msgs: Any, header: Any, student: Student, threshold: float) -> Any:
    """Make a vision_msgs/LabelInfo that names the ids of the mask.

    Args:
        vision_msgs: The module ``vision_msgs.msg``, which not every installation has.
        header: Header with the time of publication.
        student: Whose classes.
        threshold: The parameter ``min_confidence``.
    """
    message = vision_msgs.LabelInfo(threshold=threshold)
    message.header = header
    message.class_map = [
        vision_msgs.VisionClass(class_id=info.id, class_name=info.name)
        for info in student.spec.classes
    ]
    return message


def diagnostic_status(
    name: str, level: bytes, message: str, values: Mapping[str, object]
) -> DiagnosticStatus:
    """Make one diagnostics entry; floats are written with three decimals."""
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        hardware_id=name.split(':')[0],
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def diagnostic_array(header: Any, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """Make a diagnostics message with the given header."""
    message = DiagnosticArray(status=statuses)
    message.header = header
    return message


def _text(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
