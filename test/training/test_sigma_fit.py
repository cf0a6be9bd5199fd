# SPDX-License-Identifier: Apache-2.0
"""The factor of sigma: on distributions whose right factor is known, and by search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.sigma_calibration import (
    before_and_after,
    confidence_quality,
    fit_confidence_scale,
    fit_sigma_scale,
    sigma_quality,
)


def pixels_of(error_m, sigma_m):
    target_m = np.full_like(error_m, 20.0)
    return np.stack([target_m + error_m, target_m, sigma_m])


@given(st.floats(0.05, 20.0), st.integers(0, 2**16))
def test_normal_errors_get_the_factor_that_was_left_out(factor, seed):
    """68 % and 95 % of normal errors lie within one and two of their deviations."""
    rng = np.random.default_rng(seed)
    sigma_m = rng.uniform(0.1, 3.0, 20_000)
    error_m = np.clip(factor * sigma_m * rng.standard_normal(20_000), -1e4, 1e4)
    assert fit_sigma_scale(pixels_of(error_m, sigma_m)) == pytest.approx(factor, rel=0.04)


def test_the_larger_deviation_is_as_small_as_any_factor_makes_it():
    """Laplace errors: both shares cannot be reached; the best factor leaves both equally off."""
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    error_m = -np.log1p(-quantiles)
    scale = fit_sigma_scale(pixels_of(error_m, np.ones_like(error_m)))
    off = (1 - np.exp(-scale) - 0.68, 1 - np.exp(-2 * scale) - 0.95)
    assert off[0] == pytest.approx(-off[1], abs=2e-3) and 0.02 < off[0] < 0.04
    for other in np.linspace(0.5, 3.0, 200):
        worse = max(abs(1 - np.exp(-other) - 0.68), abs(1 - np.exp(-2 * other) - 0.95))
        assert worse > max(map(abs, off)) - 2e-3


def test_quality_in_numbers_made_by_hand():
    """Errors 0.5, 1, 1.5 and 3 m with a deviation of 1 m."""
    pixels = pixels_of(np.array([0.5, -1.0, 1.5, -3.0]), np.ones(4))
    found = sigma_quality(pixels)
    assert found['coverage_1_sigma'] == 0.5 and found['coverage_2_sigma'] == 0.75
    scale = 1 / np.sqrt(2)  # of the Laplace distribution
    assert found['coverage_68'] == pytest.approx(0.25)  # 0.68 of a normal one lies at 0.994 m
    assert found['nll'] == pytest.approx(1.5 / scale + np.log(2 * scale), abs=1e-5)
    wider = before_and_after(sigma_quality, pixels, 2.0)
    assert wider['before'] == found and wider['after'] == sigma_quality(pixels, 2.0)
    assert wider['after']['coverage_1_sigma'] == 0.75


def test_nothing_can_be_fitted_to_nothing():
    with pytest.raises(ConfigError, match='there are none'):
        fit_sigma_scale(np.zeros((3, 0)))
    with pytest.raises(ConfigError, match='pixels of known depth'):
        fit_confidence_scale(np.zeros((3, 0)))
    assert before_and_after(sigma_quality, np.zeros((3, 0)), 1.0) == {}


@given(st.floats(0.1, 10.0), st.integers(0, 2**16))
@settings(max_examples=20)
def test_laplace_errors_get_the_factor_of_the_confidence_that_was_left_out(factor, seed):
    rng = np.random.default_rng(seed)
    depth_m = rng.uniform(5.0, 50.0, 40_000)
    sigma_m = depth_m * rng.uniform(0.02, 0.4, 40_000) / factor
    error_m = rng.laplace(0.0, factor * sigma_m / np.sqrt(2.0))
    pixels = np.stack([depth_m, depth_m - error_m, sigma_m])
    assert fit_confidence_scale(pixels) == pytest.approx(factor, rel=0.1)
    found = confidence_quality(pixels, factor)
    assert found['stated'] == pytest.approx(found['observed'], abs=0.01)
    assert found['calibration_error'] < 0.02


def test_confidence_in_numbers_made_by_hand():
    """Of 20 m, an error of 1 m is below 10 % and one of 2.5 m is not."""
    depth_m, sigma_m = np.full(2, 20.0), np.full(2, 2.0 * np.sqrt(2.0))
    found = confidence_quality(np.stack([depth_m, np.array([21.0, 17.5]), sigma_m]))
    assert found['stated'] == pytest.approx(1.0 - np.exp(-1.0), abs=1e-5)
    assert found['observed'] == 0.5
