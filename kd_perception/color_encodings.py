# SPDX-License-Identifier: Apache-2.0
"""Color as sensors give it, Bayer patterns and YUV 4:2:2, made RGB by OpenCV as cv_bridge does."""

from __future__ import annotations

import cv2
import numpy as np

from kd_perception.errors import ImageEncodingError
from kd_perception.frames import ByteImage, Image

# sensor_msgs names a pattern by the first pixels of its first two rows, OpenCV by the second and
# third pixels of its second and third rows.
_BAYER_CODES = {
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
    'bayer_rggb16': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr16': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg16': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg16': cv2.COLOR_BayerGB2RGB,
}
_YUV_CODES = {
    'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'yuyv': cv2.COLOR_YUV2RGB_YUY2,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
}
BAYER_ENCODINGS = tuple(_BAYER_CODES)
YUV_ENCODINGS = tuple(_YUV_CODES)

_LEAST_BAYER_SIDE = 3  # OpenCV interpolates inside and repeats that at the border


def rgb_from_sensor(image: Image, encoding: str) -> ByteImage:
    """Convert what a color sensor gave to RGB.

    A Bayer pattern's missing colors are interpolated linearly; 16 bits become 8 by the full range
    of 0 to 65535. YUV is that of ITU-R BT.601 in limited range (Y 16 to 235, U and V 16 to 240)::

        R = 1.164 (Y - 16)                     + 1.596 (V - 128)
        G = 1.164 (Y - 16) - 0.391 (U - 128)   - 0.813 (V - 128)
        B = 1.164 (Y - 16) + 2.018 (U - 128)

    Args:
        image: HxW uint8 or uint16 of a Bayer pattern, or HxWx2 uint8 of YUV: two pixels share U
            and V. ``uyvy`` and ``yuv422`` have the bytes U Y V Y, ``yuyv`` and ``yuv422_yuy2``
            Y U Y V.
        encoding: One of :data:`BAYER_ENCODINGS` or :data:`YUV_ENCODINGS`.

    Returns:
        HxWx3 uint8.

    Raises:
        ImageEncodingError: The encoding is another, a Bayer pattern has fewer than three rows or
            columns, or a YUV image has an odd width.
    """
    height, width = image.shape[:2]
    if encoding in _YUV_CODES:
        if width % 2:
            raise ImageEncodingError(
                f'a {encoding} image must have an even width, as two pixels share their color; '
                f'received {width}x{height}'
            )
        return np.asarray(cv2.cvtColor(image, _YUV_CODES[encoding]), np.uint8)
    if encoding not in _BAYER_CODES:
        raise ImageEncodingError(
            f'a color sensor must give {", ".join((*_BAYER_CODES, *_YUV_CODES))}; received '
            f'{encoding[:40]!r}'
        )
    if min(height, width) < _LEAST_BAYER_SIDE:
        raise ImageEncodingError(
            f'a Bayer pattern must have {_LEAST_BAYER_SIDE}x{_LEAST_BAYER_SIDE} pixels at least; '
            f'received {width}x{height} ({encoding})'
        )
    rgb = cv2.cvtColor(image, _BAYER_CODES[encoding])
    if rgb.dtype == np.uint16:
        rgb = cv2.convertScaleAbs(rgb, alpha=255.0 / 65535.0)
    return np.asarray(rgb, np.uint8)
