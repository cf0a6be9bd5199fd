# SPDX-License-Identifier: Apache-2.0
"""Transforms of tiles: points by hand, the identity, pixels, and images seen through them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import normal

from kd_perception.errors import ConfigError, ShapeError
from training.plane_transforms import (
    COUNTS,
    TransformRanges,
    looked_up,
    matrices_from_parameters,
    pixel_matrices,
)

RANGES = TransformRanges()


def matrix_of(*parameters, ranges=RANGES):
    values = torch.tensor([parameters], dtype=torch.float64)
    return matrices_from_parameters(values, ranges)[0].numpy()


def moved(matrix, x, y):
    u, v, w = matrix @ np.array([x, y, 1.0])
    return u / w, v / w


@pytest.mark.parametrize('count', COUNTS)
def test_zero_is_the_identity(count):
    found = matrices_from_parameters(torch.zeros(3, count), RANGES)
    assert torch.equal(found, torch.eye(3).expand(3, 3, 3))


def test_each_number_moves_points_as_its_name_says():
    assert moved(matrix_of(1.0, -1.0, 0.0, 0.0), 0.2, 0.3) == pytest.approx((0.35, 0.15))
    assert moved(matrix_of(0.0, 0.0, 1.0, -1.0), 0.4, 0.5) == pytest.approx((0.5, 0.4))
    turned = moved(matrix_of(0.0, 0.0, 0.0, 0.0, 1.0, 0.0), 1.0, 0.0)
    angle = math.radians(15.0)
    assert turned == pytest.approx((math.cos(angle), math.sin(angle)))
    assert moved(matrix_of(0, 0, 0, 0, 0.0, 1.0), 0.0, 0.5) == pytest.approx((0.05, 0.5))
    seen = moved(matrix_of(0, 0, 0, 0, 0, 0, 1.0, 0.0), 1.0, 0.5)
    assert seen == pytest.approx((1.0 / 1.05, 0.5 / 1.05))


@given(st.integers(0, 2**20), st.sampled_from([4, 6]))
def test_fewer_numbers_are_those_with_the_others_at_zero(seed, count):
    parameters = normal(3, count, seed=seed, scale=0.5)
    full = torch.cat([parameters, torch.zeros(3, 8 - count, dtype=torch.float64)], dim=1)
    few, every = (matrices_from_parameters(each, RANGES) for each in (parameters, full))
    assert torch.equal(few, every)
    areas = torch.linalg.det(few)
    expected = (math.log(1.25) * parameters[:, 2:4].sum(dim=1)).exp()
    torch.testing.assert_close(areas, expected)


def test_gradient_is_right():
    parameters = normal(3, 8, scale=0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: matrices_from_parameters(p, RANGES), [parameters])


def test_pixels_of_a_tile():
    """Half a tile is `tile / 2` pixels; the center lies between the two middle pixels."""
    found = pixel_matrices(matrix_of(1.0, 0.0, 0.0, 0.0), 32)
    assert moved(found, 3.0, 7.0) == pytest.approx((3.0 + 0.15 * 16, 7.0))
    grown = pixel_matrices(matrix_of(0.0, 0.0, 1.0, 1.0), 32)
    assert moved(grown, 15.5, 15.5) == pytest.approx((15.5, 15.5))
    assert moved(grown, 16.5, 15.5) == pytest.approx((16.75, 15.5))


@pytest.mark.parametrize('count', COUNTS)
def test_looking_up_is_what_opencv_does_with_the_inverse(count):
    rng = np.random.default_rng(count)
    image = cv2.GaussianBlur(rng.random((24, 24)).astype(np.float32), (0, 0), 2.0)
    parameters = torch.from_numpy(rng.uniform(-1, 1, (1, count)))
    matrix = matrices_from_parameters(parameters, RANGES)
    seen = looked_up(torch.from_numpy(image)[None, None], matrix.float())[0, 0].numpy()
    inverse = np.linalg.inv(pixel_matrices(matrix[0].numpy(), 24))
    warped = cv2.warpPerspective(image, inverse, (24, 24), flags=cv2.INTER_LINEAR)
    np.testing.assert_allclose(seen[4:-4, 4:-4], warped[4:-4, 4:-4], atol=5e-3)


def test_identity_shows_the_image():
    images = normal(2, 3, 8, 12).float()
    torch.testing.assert_close(looked_up(images, torch.eye(3).expand(2, 3, 3)), images)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match=r'parameters must be one of \[4, 6, 8\], got 5'):
        matrices_from_parameters(torch.zeros(1, 5), RANGES)
    with pytest.raises(ShapeError, match='parameters must be of shape'):
        matrices_from_parameters(torch.zeros(4), RANGES)
    with pytest.raises(ConfigError, match='shear must be above 0'):
        TransformRanges(shear=0.0)
    with pytest.raises(ConfigError, match=r'perspective must be below 0\.5, received 0\.5'):
        TransformRanges(perspective=0.5)
