# SPDX-License-Identifier: Apache-2.0
"""Which images networks without a fixed size take."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from kd_perception.models.image_input import check_image_shape, normalized_image


@given(
    height=st.integers(0, 200),
    width=st.one_of(st.integers(0, 200), st.sampled_from([32, 64, 96, 640])),
    channels=st.integers(1, 4),
    least=st.sampled_from([32, 64]),
)
def test_sides_in_multiples_of_32_pass_and_no_others(height, width, channels, least):
    image = torch.zeros(1, channels, height, width, device='meta')
    allowed = range(least, 1000, 32)
    if height in allowed and width in allowed:
        check_image_shape(image, channels, smallest_side=least)
        with pytest.raises(ShapeError, match=rf'\[batch, {channels + 1}, height'):
            check_image_shape(image, channels + 1, smallest_side=least)
    else:
        with pytest.raises(ShapeError, match=f'at least {least}, got'):
            check_image_shape(image, channels, smallest_side=least)


@pytest.mark.parametrize('shape', [(3, 64, 64), (64,), (1, 1, 3, 64, 64)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 3, height, width\]'):
        check_image_shape(torch.zeros(shape), 3)


def test_normalization_is_that_of_monodepth2():
    values = normalized_image(torch.tensor([0.0, 0.45, 0.675, 1.0]))
    torch.testing.assert_close(values, torch.tensor([-2.0, 0.0, 1.0, 22.0 / 9.0]))
