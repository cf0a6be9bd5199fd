# SPDX-License-Identifier: Apache-2.0
"""The photometric error: the published definition, its range, its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_half_precision
from photometric_oracle import photometric_by_windows, pictures

from kd_perception.errors import ConfigError, ShapeError
from training.losses import photometric_error


@st.composite
def pairs(draw):
    shape = (draw(st.integers(1, 2)), draw(st.sampled_from([1, 3])))
    size = (draw(st.integers(2, 6)), draw(st.integers(2, 7)))
    seed = draw(st.integers(0, 2**20))
    return pictures(*shape, *size, seed=seed), pictures(*shape, *size, seed=seed + 1)


@given(pairs(), st.sampled_from([0.0, 0.5, 0.85, 1.0]))
def test_error_is_the_published_definition(pair, weight):
    error = photometric_error(*pair, ssim_weight=weight)
    expected = photometric_by_windows(*pair, weight)
    np.testing.assert_allclose(error.numpy(), expected, rtol=0.0, atol=1e-9)


def test_published_weight_is_the_default_and_float32_is_near():
    pair = pictures(2, 3, 20, 30), pictures(2, 3, 20, 30, seed=1)
    expected = photometric_by_windows(*pair)
    np.testing.assert_allclose(photometric_error(*pair).numpy(), expected, atol=1e-9)
    coarse = photometric_error(*(image.float() for image in pair))
    assert coarse.dtype == torch.float32
    np.testing.assert_allclose(coarse.numpy(), expected, rtol=0.0, atol=2e-5)


def test_float32_is_as_near_as_said_where_images_are_bright_and_even():
    pair = [1.0 - 1e-3 * pictures(1, 3, 20, 30, seed=seed) for seed in (0, 1)]
    difference = photometric_error(*(image.float() for image in pair)) - photometric_error(*pair)
    assert difference.abs().max() < 5e-4


def test_black_and_white_are_as_unlike_as_can_be():
    black, white = torch.zeros(1, 3, 4, 5), torch.ones(1, 3, 4, 5)
    # Even images have no structure that could differ: the means alone give (1 - 1e-4) / 2.
    expected = 0.85 * (1.0 - 1e-4 / (1.0 + 1e-4)) / 2.0 + 0.15
    error = photometric_error(black, white)
    assert error.shape == (1, 1, 4, 5)
    torch.testing.assert_close(error, torch.full_like(error, expected), rtol=0.0, atol=1e-6)


@given(pairs())
def test_equal_images_have_no_error_and_sides_may_be_exchanged(pair):
    image, other = pair
    for dtype in (torch.float64, torch.float32):
        assert (photometric_error(image.to(dtype), image.to(dtype)) == 0.0).all()
    error = photometric_error(image, other)
    assert (error >= 0.0).all() and (error <= 1.0).all()
    torch.testing.assert_close(error, photometric_error(other, image), rtol=0.0, atol=1e-12)
    structure = photometric_error(image, other, ssim_weight=1.0)
    assert (structure >= 0.0).all() and (structure <= 1.0).all()


def test_opposite_structure_is_worse_than_none():
    image = pictures(1, 1, 12, 12)
    level = torch.full_like(image, 0.5)
    opposite, flat = (
        photometric_error(image, view, ssim_weight=1.0).mean() for view in (1.0 - image, level)
    )
    assert opposite > flat + 0.1


def test_turning_and_mirroring_images_turns_the_error():
    pair = pictures(1, 3, 6, 9), pictures(1, 3, 6, 9, seed=1)
    error = photometric_error(*pair)
    for move in (lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.transpose(2, 3)):
        moved = photometric_error(*(move(image) for image in pair))
        torch.testing.assert_close(moved, move(error), rtol=0.0, atol=1e-12)


def test_gradient_is_right():
    image, warped = pictures(1, 2, 5, 6), pictures(1, 2, 5, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: photometric_error(image, x), [warped])


def test_gradient_of_equal_even_images_is_finite():
    white = torch.ones(1, 3, 4, 5, requires_grad=True)
    photometric_error(torch.ones(1, 3, 4, 5), white).sum().backward()
    assert torch.isfinite(white.grad).all()


def test_half_precision_is_computed_in_float32():
    check_half_precision(
        lambda a, b: photometric_error(a, b).mean(),
        pictures(1, 3, 8, 9),
        pictures(1, 3, 8, 9, seed=1),
    )


def test_wrong_images_and_weights_are_named():
    image = torch.zeros(1, 3, 4, 5)
    with pytest.raises(ShapeError, match='image must be of shape'):
        photometric_error(image[0], image)
    with pytest.raises(ShapeError, match=r'warped must be of shape \[1, 3, 4, 5\]'):
        photometric_error(image, image[..., :4])
    with pytest.raises(ShapeError, match='at least 2x2'):
        photometric_error(image[:, :, :1], image[:, :, :1])
    with pytest.raises(ShapeError, match=r'warped must hold floats of 0 to 1, .* torch\.uint8'):
        photometric_error(image, image.byte())
    for weight in (-0.1, 1.1, float('nan')):
        with pytest.raises(ConfigError, match='ssim_weight must be within 0 to 1'):
            photometric_error(image, image, ssim_weight=weight)
