# SPDX-License-Identifier: Apache-2.0
"""Whether tiles fit the student that learns from them, and where saliency is said to come from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.recipes.eps_sources import check_tiling, fitting_size, in_words


@pytest.mark.parametrize(
    ('frame', 'grid', 'tagged', 'image'),
    [
        ((160, 160), (3, 4), (64, 64), (192, 256)),
        ((64, 96), (1, 1), (), (64, 96)),
        ((64, 96), (2, 2), (), (128, 192)),
        ((170, 160), (3, 4), (64, 64), (192, 256)),
    ],
)
def test_tiles_that_fit(frame, grid, tagged, image):
    check_tiling(frame, grid, tagged, image)


@pytest.mark.parametrize(
    ('frame', 'grid', 'tagged', 'image', 'message'),
    [
        ((480, 640), (1, 1), (64, 64), (192, 256), 'frames are whole, 480x640'),
        ((240, 320), (2, 2), (64, 64), (192, 256), r'rows and columns, \[128, 128\]'),
        ((160, 213), (3, 3), (64, 64), (192, 192), 'stretched by 1.33'),
        ((64, 96), (2, 2), (), (64, 96), r'tagged_size is empty'),
    ],
)
def test_tiles_that_do_not_fit_are_refused_with_sizes_that_do(frame, grid, tagged, image, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_tiling(frame, grid, tagged, image)
    numbers = re.findall(r'\[(\d+), (\d+)\]', str(caught.value).partition('What fits')[2])
    (high, wide), better = (tuple(map(int, pair)) for pair in numbers)
    check_tiling(frame, grid, (high, wide), better)


@given(st.integers(32, 1000), st.floats(0.6, 1.8))
def test_sizes_that_are_named_are_such_as_may_be_set(height, ratio):
    high, wide = fitting_size((height, round(ratio * height)))
    assert high % 32 == wide % 32 == 0 and wide >= 32 and 64 <= high <= max(1.2 * height, 64)


def test_saliency_in_words():
    assert in_words({'source': 'none'}) == 'none'
    assert 'heat_contrast, which learns nothing' in in_words(
        {'source': 'detector', 'name': 'heat_contrast'}
    )
    student = {'source': 'student', 'student': 's', 'sha256': 64 * 'a', 'trained_on': 'frames'}
    assert in_words(student).startswith('of the student s (SHA-256 aaaaaaaaaaaa), which was')
