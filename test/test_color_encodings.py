# SPDX-License-Identifier: Apache-2.0
"""Bayer patterns and YUV: the colors of a known image come back, and what is none is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_images import mosaic, yuv422

from kd_perception.color_encodings import BAYER_ENCODINGS, YUV_ENCODINGS, rgb_from_sensor
from kd_perception.errors import ImageEncodingError


def color_plane(size: tuple[int, int]) -> np.ndarray:
    """A smooth image whose three channels differ by 25 or more at every pixel."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    channels = [180 + columns, 130 - rows, 20 + (rows + columns) // 2]
    image = np.stack(channels, axis=2)
    assert (np.diff(np.sort(image, axis=2)) >= 25).all()
    return image.astype(np.uint8)


@pytest.mark.parametrize('size', [(40, 52), (39, 51), (3, 4)])
@pytest.mark.parametrize('encoding', BAYER_ENCODINGS)
def test_every_bayer_pattern_gives_back_a_smooth_image(
    encoding: str, size: tuple[int, int]
) -> None:
    rgb = color_plane(size)
    found = rgb_from_sensor(mosaic(rgb, encoding), encoding)
    assert (found.dtype, found.shape) == (np.uint8, rgb.shape)
    error = np.abs(found.astype(int) - rgb)
    assert error[1:-1, 1:-1].max() <= 1, 'between neighbors colors are linear'
    assert error.max() <= 3, 'borders repeat the pixel beside them'


@pytest.mark.parametrize(
    ('value', 'expected'), [(0, 0), (128, 0), (129, 1), (32768, 128), (65535, 255)]
)
def test_sixteen_bits_become_eight_by_the_full_range(value: int, expected: int) -> None:
    pattern = np.full((6, 6), value, np.uint16)
    assert (rgb_from_sensor(pattern, 'bayer_gbrg16') == expected).all()


@pytest.mark.parametrize('encoding', YUV_ENCODINGS)
@pytest.mark.parametrize(
    ('y', 'u', 'v', 'expected'),
    [
        # 1.164 (81 - 16) = 75.66 and 1.164 (145 - 16) = 150.16; 1.596 (240 - 128) = 178.75,
        # 0.813 (240 - 128) + 0.391 (90 - 128) = 76.20, 2.018 (90 - 128) = -76.68.
        ((81, 145), 90, 240, [[254, 0, 0], [255, 74, 73]]),
        # 1.164 (41 - 16) = 29.10; 1.596 (110 - 128) = -28.73,
        # 0.813 (110 - 128) + 0.391 (240 - 128) = 29.16, 2.018 (240 - 128) = 226.02.
        ((41, 41), 240, 110, [[0, 0, 255], [0, 0, 255]]),
        # The limits of the range, and 1.164 (126 - 16) = 128.04.
        ((16, 235), 128, 128, [[0, 0, 0], [255, 255, 255]]),
        ((0, 126), 128, 128, [[0, 0, 0], [128, 128, 128]]),
    ],
    ids=['red', 'blue', 'black and white', 'below black, and gray'],
)
def test_yuv_by_hand(
    encoding: str, y: tuple[int, int], u: int, v: int, expected: list[list[int]]
) -> None:
    order = [u, y[0], v, y[1]] if encoding in ('uyvy', 'yuv422') else [y[0], u, y[1], v]
    found = rgb_from_sensor(np.array(order, np.uint8).reshape(1, 2, 2), encoding)
    assert found[0].tolist() == expected


@pytest.mark.parametrize('encoding', YUV_ENCODINGS)
def test_yuv_gives_back_a_smooth_image(encoding: str) -> None:
    rgb = color_plane((40, 52))
    found = rgb_from_sensor(yuv422(rgb, encoding), encoding)
    assert (found.dtype, found.shape) == (np.uint8, rgb.shape)
    assert np.abs(found.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(
    ('size', 'encoding', 'reason'),
    [
        ((4, 5, 2), 'uyvy', 'even width.*received 5x4'),
        ((1, 1, 2), 'yuv422_yuy2', 'even width.*received 1x1'),
        ((2, 8), 'bayer_rggb8', '3x3 pixels at least; received 8x2'),
        ((8, 1), 'bayer_gbrg8', '3x3 pixels at least; received 1x8'),
        ((8, 8), 'nv21', "bayer_rggb8.*yuyv.*received 'nv21'"),
    ],
)
def test_what_has_no_colors_is_refused(size: tuple[int, ...], encoding: str, reason: str) -> None:
    with pytest.raises(ImageEncodingError, match=reason):
        rgb_from_sensor(np.zeros(size, np.uint8), encoding)
