# SPDX-License-Identifier: Apache-2.0
"""The photometric error with uncertainty: formula, least value, pixels out of view."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, mean_over_images, row
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_half_precision

from kd_perception.errors import ShapeError
from training.losses import photometric_loss, uncertain_photometric_loss


def errors_and_sigma(drawn):
    return (drawn.depth_m / 50.0, drawn.log_sigma, drawn.valid)


@given(drawn_maps())
def test_loss_is_the_formula(drawn):
    error, log_sigma, covered = errors_and_sigma(drawn)
    loss = uncertain_photometric_loss(error, log_sigma, covered)
    cost = error.numpy() / np.exp(log_sigma.numpy()) + log_sigma.numpy()
    assert loss.item() == pytest.approx(mean_over_images(cost, covered), rel=1e-9, abs=1e-12)
    certain = uncertain_photometric_loss(error, torch.zeros_like(error), covered)
    assert certain.item() == pytest.approx(photometric_loss(error, covered).item(), rel=1e-12)


@given(st.floats(0.01, 1.0))
def test_least_value_is_where_sigma_is_the_error(error):
    covered = torch.ones(1, 1, 1, 1, dtype=torch.bool)

    def value(sigma):
        return uncertain_photometric_loss(row(error), row(math.log(sigma)), covered).item()

    assert value(error) == pytest.approx(1.0 + math.log(error), rel=1e-9, abs=1e-9)
    assert min(value(0.9 * error), value(1.1 * error)) > value(error)


@given(drawn_maps())
def test_pixels_out_of_view_neither_count_nor_learn(drawn):
    error, log_sigma, covered = errors_and_sigma(drawn)
    wild = torch.where(covered, log_sigma, -1e4)
    loss = uncertain_photometric_loss(error, wild, covered)
    assert loss.item() == uncertain_photometric_loss(error, log_sigma, covered).item()
    for gradient in gradients(lambda e, s: uncertain_photometric_loss(e, s, covered), error, wild):
        assert (gradient[~covered] == 0.0).all()
        assert torch.isfinite(gradient).all()


def test_uncertain_pixels_teach_less():
    error, log_sigma, covered = errors_and_sigma(maps(1, 4, 5, share=1.0))
    (gradient, _) = gradients(
        lambda e, s: uncertain_photometric_loss(e, s, covered), error, log_sigma
    )
    torch.testing.assert_close(gradient, torch.exp(-log_sigma) / 20.0, rtol=1e-12, atol=0.0)


@given(drawn_maps(), st.integers(0, 2**20))
def test_the_auto_mask_may_come_after_sigma(drawn, seed):
    """Where standing still is cheaper than the likelihood, it is the loss and nobody learns."""
    error, log_sigma, covered = errors_and_sigma(drawn)
    error = torch.where(covered, error, torch.inf)  # as in `Reprojection.warped`
    unmoved = torch.from_numpy(np.random.default_rng(seed).normal(size=error.shape))
    cost = drawn.depth_m.numpy() / 50.0 / np.exp(log_sigma.numpy()) + log_sigma.numpy()

    def loss(e, s, u):
        return uncertain_photometric_loss(e, s, covered, unmoved=u)

    expected = mean_over_images(np.minimum(cost, unmoved.numpy()), covered)
    found = loss(error, log_sigma, unmoved)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    masked = ~covered | torch.from_numpy(cost >= unmoved.numpy())
    *learn, still = gradients(loss, error, log_sigma, unmoved)
    assert still is None
    for gradient in learn:
        assert (gradient[masked] == 0.0).all() and torch.isfinite(gradient).all()
    assert (learn[0][~masked] > 0.0).all()


def test_half_precision_is_computed_in_float32():
    error, log_sigma, covered = errors_and_sigma(maps(2, 6, 7))
    check_half_precision(lambda e, s: uncertain_photometric_loss(e, s, covered), error, log_sigma)


def test_wrong_shapes_are_named():
    error, log_sigma, covered = errors_and_sigma(maps(2, 3, 4))
    with pytest.raises(ShapeError, match='error must be of shape'):
        uncertain_photometric_loss(error[0], log_sigma, covered)
    with pytest.raises(ShapeError, match='log_sigma must be of shape'):
        uncertain_photometric_loss(error, log_sigma[:1], covered)
    with pytest.raises(ShapeError, match='must be bool'):
        uncertain_photometric_loss(error, log_sigma, covered.float())
