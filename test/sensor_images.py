# SPDX-License-Identifier: Apache-2.0
"""What color sensors would give of an RGB image: Bayer patterns and YUV, made in NumPy."""

from __future__ import annotations

import numpy as np


def mosaic(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """A Bayer pattern of an image, HxW; the name tells the colors of the first two rows."""
    pattern = np.zeros(rgb.shape[:2], np.uint16 if encoding.endswith('16') else np.uint8)
    letters = encoding.removeprefix('bayer_')
    for row in range(2):
        for column in range(2):
            channel = 'rgb'.index(letters[2 * row + column])
            pattern[row::2, column::2] = rgb[row::2, column::2, channel]
    return pattern * np.uint16(257) if encoding.endswith('16') else pattern


def yuv422(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """YUV 4:2:2 of an image by the sums of ITU-R BT.601 for 8 bits, limited range: HxWx2."""
    red, green, blue = np.moveaxis(rgb / 255.0, 2, 0)
    y = 16.0 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128.0 - 37.797 * red - 74.203 * green + 112.0 * blue
    v = 128.0 + 112.0 * red - 93.786 * green - 18.214 * blue
    color = np.empty_like(y)
    color[:, ::2], color[:, 1::2] = (u[:, ::2] + u[:, 1::2]) / 2, (v[:, ::2] + v[:, 1::2]) / 2
    bytes_of_pixels = [color, y] if encoding in ('uyvy', 'yuv422') else [y, color]
    return np.rint(np.stack(bytes_of_pixels, axis=2)).astype(np.uint8)


def encoded(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """An image as the array whose bytes are those of a message of the encoding."""
    if encoding == 'rgb8':
        return rgb
    if encoding.startswith('bayer'):
        return mosaic(rgb, encoding)
    return yuv422(rgb, encoding).view('<u2')[..., 0]
