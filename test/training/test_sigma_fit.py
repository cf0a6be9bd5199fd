# SPDX-License-Identifier: Apache-2.0
"""The factor of sigma: on distributions whose right factor is known, and by search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.sigma_calibration import before_and_after, fit_sigma_scale, sigma_quality


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
    wider = before_and_after(pixels, 2.0)
    assert wider['before'] == found and wider['after'] == sigma_quality(pixels, 2.0)
    assert wider['after']['coverage_1_sigma'] == 0.75


def test_nothing_can_be_fitted_to_nothing():
    with pytest.raises(ConfigError, match='there are none'):
        fit_sigma_scale(np.zeros((3, 0)))
    assert before_and_after(np.zeros((3, 0)), 1.0) == {}
