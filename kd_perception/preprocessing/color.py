# SPDX-License-Identifier: Apache-2.0
"""Color images: reduced to gray for thermal students, or as students of color images see them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from kd_perception.errors import ImageEncodingError
from kd_perception.frames import ByteImage, Float32Image, Frame, Image
from kd_perception.preprocessing.geometry import Letterbox, letterbox

_RGB_CODES = {
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgr8': cv2.COLOR_BGR2RGB,
    '8UC3': cv2.COLOR_BGR2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
    'mono8': cv2.COLOR_GRAY2RGB,
    '8UC1': cv2.COLOR_GRAY2RGB,
}


def gray_from_color(frame: Frame) -> Image:
    """Reduce a color frame to luma (ITU-R BT.601), HxW uint8.

    Raises:
        ImageEncodingError: The frame is not of a color encoding.
    """
    codes = {
        'rgb8': cv2.COLOR_RGB2GRAY,
        'rgba8': cv2.COLOR_RGBA2GRAY,
        'bgr8': cv2.COLOR_BGR2GRAY,
        '8UC3': cv2.COLOR_BGR2GRAY,
        'bgra8': cv2.COLOR_BGRA2GRAY,
    }
    if frame.encoding not in codes:
        raise ImageEncodingError(
            f'a color frame must be {", ".join(codes)}; received {frame.encoding}'
        )
    return cv2.cvtColor(frame.image, codes[frame.encoding])


def rgb_from_frame(frame: Frame) -> ByteImage:
    """Give a frame as HxWx3 uint8 RGB; gray of 8 bit becomes three equal channels.

    Raises:
        ImageEncodingError: The frame is of 16 bit or float.
    """
    if frame.encoding == 'rgb8':
        return frame.image
    if frame.encoding not in _RGB_CODES:
        raise ImageEncodingError(
            f'a color image must be rgb8, {", ".join(_RGB_CODES)}; received {frame.encoding}: '
            'this student was not trained on thermal images'
        )
    return np.asarray(cv2.cvtColor(frame.image, _RGB_CODES[frame.encoding]), np.uint8)


def color_network_input(
    rgb: ByteImage,
    network_size: tuple[int, int],
    *,
    mean: Sequence[float] = (),
    standard_deviation: Sequence[float] = (),
) -> tuple[Float32Image, Letterbox]:
    """Resize a color image as `network_input` resizes gray ones, in 8 bit, and normalize it.

    Args:
        rgb: HxWx3 uint8.
        network_size: (height, width) of the network input.
        mean: Per channel, subtracted from values of 0 to 1; empty for 0.
        standard_deviation: Per channel, what they are divided by then; empty for 1.

    Returns:
        float32 of shape (1, 3, height, width), and the geometry that postprocessing undoes.

    Raises:
        ShapeError: As :func:`letterbox`.
    """
    box = letterbox((rgb.shape[0], rgb.shape[1]), network_size)
    if box.camera_size != box.content_size:
        shrinks = box.content_size[0] < box.camera_size[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(rgb, box.content_size[::-1], interpolation=method), np.uint8)
    below, right = (full - part for full, part in zip(network_size, box.content_size, strict=True))
    if below or right:
        rgb = np.pad(rgb, ((0, below), (0, right), (0, 0)), mode='edge')
    deviations = np.array(standard_deviation or (1.0, 1.0, 1.0))
    factors = (1.0 / (255.0 * deviations)).astype(np.float32)
    offsets = (np.array(mean or (0.0, 0.0, 0.0)) / deviations).astype(np.float32)
    image = np.empty((1, 3, *network_size), np.float32)
    for channel, plane in enumerate(cv2.split(np.ascontiguousarray(rgb))):
        image[0, channel] = plane
        image[0, channel] *= factors[channel]
        image[0, channel] -= offsets[channel]
    return image, box
