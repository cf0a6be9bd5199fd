# SPDX-License-Identifier: Apache-2.0
"""Depth with uncertainty: the least value, what learns, and what is not covered."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, mean_over_images, row
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_half_precision

from kd_perception.errors import ConfigError, ShapeError
from training.losses import laplacian_nll_loss

ONE = torch.ones(1, 1, 1, 1, dtype=torch.bool)


def one_pixel(error, sigma, **options):
    arguments = row(3.0 + error), row(math.log(sigma)), row(3.0), ONE
    return laplacian_nll_loss(*arguments, **options).item()


@pytest.mark.parametrize(('error', 'value'), [(0.5, 0.306853), (2.0, 1.693147)])
def test_least_value_is_where_sigma_is_the_error(error, value):
    assert one_pixel(error, error) == pytest.approx(value, abs=1e-6)
    assert one_pixel(-error, error) == pytest.approx(value, abs=1e-6)


@given(st.floats(0.01, 50.0), st.floats(0.1, 3.0))
def test_sigma_settles_at_the_error_over_the_weight(error, weight):
    best = error / weight
    least = one_pixel(error, best, uncertainty_weight=weight)
    assert least == pytest.approx(weight * (1.0 + math.log(best)), rel=1e-6, abs=1e-6)
    for factor in (0.9, 1.1):
        assert one_pixel(error, best * factor, uncertainty_weight=weight) > least

    def loss(s):
        return laplacian_nll_loss(row(3.0 + error), s, row(3.0), ONE, uncertainty_weight=weight)

    (gradient,) = gradients(loss, row(math.log(best)))
    assert gradient.item() == pytest.approx(0.0, abs=1e-9)


@given(drawn_maps(), st.floats(0.1, 2.0))
def test_loss_is_the_formula(drawn, weight):
    depth_m, log_sigma, target_m, valid = drawn
    loss = laplacian_nll_loss(*drawn, uncertainty_weight=weight)
    error = np.abs(depth_m.numpy() - np.where(valid, target_m, 0.0))
    sigma = np.exp(log_sigma.numpy())
    expected = mean_over_images(error / sigma + weight * np.log(sigma), valid)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(drawn_maps())
def test_uncovered_pixels_neither_count_nor_learn(drawn):
    depth_m, log_sigma, target_m, valid = drawn
    wild = torch.where(valid, log_sigma, -1e4), torch.where(valid, depth_m, torch.inf)
    loss = laplacian_nll_loss(wild[1], wild[0], target_m, valid)
    assert loss.item() == laplacian_nll_loss(*drawn).item()
    for gradient in gradients(lambda d, s: laplacian_nll_loss(d, s, target_m, valid), *wild[::-1]):
        assert (gradient[~valid] == 0.0).all()
        assert torch.isfinite(gradient).all()


def test_depth_learns_less_where_it_is_uncertain_and_nothing_when_detached():
    depth_m, log_sigma, target_m, valid = maps(1, 4, 5, share=1.0)

    def loss(detach_depth):
        return lambda d, s: laplacian_nll_loss(d, s, target_m, valid, detach_depth=detach_depth)

    joint, detached = (gradients(loss(detach), depth_m, log_sigma) for detach in (False, True))
    expected = torch.sign(depth_m - target_m) * torch.exp(-log_sigma) / 20.0
    torch.testing.assert_close(joint[0], expected, rtol=1e-12, atol=0.0)
    assert detached[0] is None
    assert torch.equal(joint[1], detached[1])
    arguments = depth_m, log_sigma, target_m, valid
    assert torch.equal(loss(True)(*arguments[:2]), laplacian_nll_loss(*arguments))


def test_half_precision_is_computed_in_float32():
    depth_m, log_sigma, target_m, valid = maps(2, 6, 7)
    check_half_precision(
        lambda d, s: laplacian_nll_loss(d, s, target_m.float(), valid), depth_m, log_sigma
    )


def test_target_gets_no_gradient():
    depth_m, log_sigma, target_m, valid = maps(1, 3, 4, share=1.0)
    *_, gradient = gradients(
        lambda d, t: laplacian_nll_loss(d, log_sigma, t, valid), depth_m, target_m
    )
    assert gradient is None


def test_wrong_shapes_and_weights_are_named():
    depth_m, log_sigma, target_m, valid = maps(2, 3, 4)
    with pytest.raises(ShapeError, match='log_sigma must be of shape'):
        laplacian_nll_loss(depth_m, log_sigma[..., :2], target_m, valid)
    with pytest.raises(ShapeError, match='target_m must be of shape'):
        laplacian_nll_loss(depth_m, log_sigma, target_m[:1], valid)
    with pytest.raises(ShapeError, match='valid must be bool'):
        laplacian_nll_loss(depth_m, log_sigma, target_m, valid.int())
    for weight in (0.0, -1.0, float('nan')):
        with pytest.raises(ConfigError, match='uncertainty_weight must be above 0'):
            laplacian_nll_loss(depth_m, log_sigma, target_m, valid, uncertainty_weight=weight)
