# SPDX-License-Identifier: Apache-2.0
"""Tiles of a figure: beside and below each other, at a size, in gray."""

from __future__ import annotations

import numpy as np

from training.pictures import GAP_PX, below, beside, gray_picture, header, sized


def tile(value, size=(3, 5)):
    return np.full((*size, 3), value, np.uint8)


def test_tiles_have_white_gaps_between_them_alone():
    row = beside([tile(1), tile(2), tile(3)])
    assert row.shape == (3, 3 * 5 + 2 * GAP_PX, 3)
    expected = [1] * 5 + [255] * GAP_PX + [2] * 5 + [255] * GAP_PX + [3] * 5
    assert row[0, :, 0].tolist() == expected
    column = below([tile(1), tile(2)])
    assert column[:, 0, 0].tolist() == [1] * 3 + [255] * GAP_PX + [2] * 3


def test_names_are_as_wide_as_their_tiles():
    names = header(['one', 'two'], 60)
    assert names.shape[1] == beside([tile(0, (2, 60))] * 2).shape[1]
    for start in (0, 60 + GAP_PX):
        assert (names[:, start : start + 60] < 128).any()
    assert (header([''], 60) == 255).all()


def test_pixels_stay_squares_and_shares_become_gray():
    plane = np.array([[0.0, 0.5], [0.25, 1.0]], np.float32)
    gray = gray_picture(plane)
    assert gray[..., 0].tolist() == [[0, 127], [63, 255]] and gray.dtype == np.uint8
    large = sized(gray, (4, 6))
    np.testing.assert_array_equal(large[..., 1], gray[..., 1].repeat(2, axis=0).repeat(3, axis=1))
