# SPDX-License-Identifier: Apache-2.0
"""Image files and the numbers in them, read back by other code."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kd_perception.errors import ShapeError
from kd_perception.world_export.pictures import (
    cityscapes_disparity,
    scaled_uint16,
    write_palette_png,
    write_picture,
)

LENGTHS = arrays(np.float32, (4, 5), elements=st.floats(0.0, 500.0, width=32))


@given(LENGTHS, st.sampled_from([256.0, 1000.0]))
def test_depth_comes_back_within_half_a_count(depth_m, scale):
    counts = scaled_uint16(depth_m, scale)
    assert counts.dtype == np.uint16
    kept = (depth_m > 0) & (np.rint(depth_m.astype(np.float64) * scale) <= 65535)
    np.testing.assert_array_equal(counts > 0, kept)
    error = np.abs(counts / scale - depth_m)[kept & (depth_m >= 1 / scale)]
    assert (error <= 0.5 / scale + 1e-6).all()


def test_what_is_no_length_is_no_measurement():
    values = np.array([np.nan, np.inf, -1.0, 0.0, 1e-9, 2.0])
    assert scaled_uint16(values, 256.0).tolist() == [0, 0, 0, 0, 1, 512]


@given(arrays(np.float64, (3, 4), elements=st.floats(0.0, 255.9)))
def test_disparity_comes_back_by_the_formula_of_the_set(disparity_px):
    counts = cityscapes_disparity(disparity_px)
    assert (counts > 0).all(), '0 is kept for pixels without disparity'
    np.testing.assert_allclose((counts.astype(float) - 1) / 256, disparity_px, atol=0.5 / 256)


def test_no_disparity_is_zero():
    assert cityscapes_disparity(np.array([np.nan, -0.5, 256.0, 0.0])).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ('shape', 'dtype'),
    [((7, 9), np.uint8), ((7, 9), np.uint16), ((7, 9, 3), np.uint8), ((7, 9, 4), np.uint8)],
)
def test_pictures_come_back(tmp_path, shape, dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    write_picture(tmp_path / 'below' / 'image.png', image)
    read = cv2.imread(str(tmp_path / 'below' / 'image.png'), cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:  # OpenCV reads blue first
        read = np.concatenate([read[..., 2::-1], read[..., 3:]], axis=2)
    np.testing.assert_array_equal(read, image)


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_palette_files_show_the_colors_of_the_ids(tmp_path_factory, label):
    palette = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp('palette') / 'label.png'
    write_palette_png(path, label, palette)
    shown = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(shown, palette[label])
    data = path.read_bytes()
    assert data[25] == 3, 'color type 3: the ids are in the file, not the colors'


def test_arrays_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / 'x.png'
    for image in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8)):
        with pytest.raises(ShapeError, match='uint8 or uint16'):
            write_picture(path, image)
    with pytest.raises(ShapeError, match='palette'):
        write_palette_png(path, np.zeros((4, 4), np.uint16), np.zeros((256, 3), np.uint8))
    assert not path.exists()


def test_a_full_disk_is_an_error(tmp_path):
    path = tmp_path / 'image.png'
    path.symlink_to('/dev/full')
    with pytest.raises(OSError, match='No space'):
        write_picture(path, np.zeros((4, 4), np.uint8))
