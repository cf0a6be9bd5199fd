# SPDX-License-Identifier: Apache-2.0
"""Color input, for users who allow it."""

from __future__ import annotations

import cv2

from kd_perception.errors import ImageEncodingError
from kd_perception.frames import Frame, Image


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
