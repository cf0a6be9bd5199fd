# SPDX-License-Identifier: Apache-2.0
"""Filtering of unprojected points: the least value, its two forms, and what it must not touch."""

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
from training.losses import laplacian_nll_loss, unprojected_point_loss

NONE_VALID = torch.zeros(1, 1, 1, 1, dtype=torch.bool)


def one_pixel(sigma, **options):
    return unprojected_point_loss(row(math.log(sigma)), NONE_VALID, **options).item()


def test_least_value_is_where_sigma_is_the_magnitude():
    assert one_pixel(5.0) == pytest.approx(2.609438, abs=1e-6)
    assert one_pixel(5.0, magnitude_m=5.0) == one_pixel(5.0)


@given(st.floats(0.1, 50.0))
def test_uncovered_pixels_settle_at_the_magnitude(magnitude_m):
    least = one_pixel(magnitude_m, magnitude_m=magnitude_m)
    assert least == pytest.approx(1.0 + math.log(magnitude_m), rel=1e-9, abs=1e-9)
    for factor in (0.9, 1.1):
        assert one_pixel(magnitude_m * factor, magnitude_m=magnitude_m) > least


@given(drawn_maps(), st.floats(0.1, 20.0))
def test_loss_is_the_formula_of_each_form(drawn, magnitude_m):
    sigma = np.exp(drawn.log_sigma.numpy())
    forms = {
        'const': magnitude_m / sigma + np.log(sigma),
        'hinge': np.maximum(0.0, magnitude_m - sigma),
        'none': np.zeros_like(sigma),
    }
    for form, cost in forms.items():
        loss = unprojected_point_loss(
            drawn.log_sigma, drawn.valid, magnitude_m=magnitude_m, form=form
        )
        expected = mean_over_images(cost, ~drawn.valid)
        assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize('form', ['const', 'hinge', 'none'])
def test_covered_pixels_learn_nothing_and_full_cover_is_no_nan(form):
    log_sigma = maps(2, 3, 4).log_sigma
    valid = torch.ones_like(log_sigma, dtype=torch.bool)
    valid[0, 0, 1] = False

    def loss(s, mask=valid):
        return unprojected_point_loss(s, mask, form=form)

    (gradient,) = gradients(loss, torch.where(valid, -1e4, log_sigma))
    assert (gradient[valid] == 0.0).all()
    assert (gradient[~valid] != 0.0).all() == (form != 'none')
    full = torch.ones_like(valid)
    assert loss(log_sigma, full).item() == 0.0
    (gradient,) = gradients(lambda s: loss(s, full), log_sigma)
    assert (gradient == 0.0).all()


def test_any_large_sigma_satisfies_the_hinge():
    for sigma in (5.0, 5.1, 1e30):
        assert one_pixel(sigma, form='hinge') == pytest.approx(0.0, abs=1e-12)
    assert one_pixel(1.0, form='hinge') == pytest.approx(4.0, rel=1e-12)
    log_sigma = torch.full((1, 1, 1, 1), 200.0)
    (gradient,) = gradients(
        lambda s: unprojected_point_loss(s, NONE_VALID, form='hinge'), log_sigma
    )
    assert gradient.item() == 0.0


@pytest.mark.parametrize('form', ['const', 'hinge', 'none'])
def test_nothing_flows_to_depth(form):
    """Depth and uncertainty of one tensor of two channels, as of heads that share an encoder."""
    depth_m, log_sigma, target_m, valid = maps(2, 4, 5)
    both = torch.cat([depth_m, log_sigma], dim=1)

    def likelihood(x):
        return laplacian_nll_loss(x[:, :1], x[:, 1:], target_m, valid)

    def total(x):
        return likelihood(x) + unprojected_point_loss(x[:, 1:], valid, form=form)

    (alone,), (together,) = gradients(likelihood, both), gradients(total, both)
    assert torch.equal(alone[:, 0], together[:, 0])
    assert (together[:, :1][~valid] == 0.0).all()
    changed = (alone[:, 1:] != together[:, 1:]).any()
    assert changed == (form != 'none')


@pytest.mark.parametrize('form', ['const', 'hinge', 'none'])
def test_half_precision_is_computed_in_float32(form):
    _, log_sigma, _, valid = maps(2, 6, 7)
    check_half_precision(
        lambda s, mask: unprojected_point_loss(s, mask, form=form),
        log_sigma,
        valid,
        by_rounding=False,
    )


def test_wrong_shapes_and_options_are_named():
    _, log_sigma, _, valid = maps(2, 3, 4)
    with pytest.raises(ShapeError, match='log_sigma must be of shape'):
        unprojected_point_loss(log_sigma[0], valid)
    with pytest.raises(ShapeError, match='valid must be of shape'):
        unprojected_point_loss(log_sigma, valid[..., :2])
    with pytest.raises(ShapeError, match='valid must be bool'):
        unprojected_point_loss(log_sigma, valid.float())
    with pytest.raises(ConfigError, match="'const', 'hinge', 'none', received 'constant'"):
        unprojected_point_loss(log_sigma, valid, form='constant')
    for magnitude_m in (0.0, -5.0, float('inf')):
        with pytest.raises(ConfigError, match='magnitude_m must be above 0'):
            unprojected_point_loss(log_sigma, valid, magnitude_m=magnitude_m)
