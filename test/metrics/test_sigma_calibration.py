# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from kd_perception.errors import ShapeError
from kd_perception.metrics import SigmaCalibration


def drawn(factor: float, count: int = 40_000) -> SigmaCalibration:
    """Depths whose true sigma is `factor` times the stated one."""
    generator = np.random.default_rng(1)
    target = generator.uniform(2.0, 60.0, count)
    sigma = 0.05 * target
    prediction = target + generator.normal(0.0, factor * sigma)
    metric = SigmaCalibration()
    metric.update(prediction, target, sigma)
    return metric


def test_the_right_sigma_covers_what_it_states() -> None:
    found = drawn(1.0).compute()
    assert found is not None
    np.testing.assert_allclose(found.coverage, found.level, atol=0.01)
    assert found.calibration_error < 0.005
    assert found.coverage_68 == pytest.approx(0.68, abs=0.01)
    assert found.coverage_95 == pytest.approx(0.95, abs=0.01)
    assert found.within_1_sigma == pytest.approx(0.6827, abs=0.01)
    assert found.within_2_sigma == pytest.approx(0.9545, abs=0.01)


@pytest.mark.parametrize('factor', [0.5, 2.0])
def test_a_wrong_sigma_covers_by_the_formula(factor: float) -> None:
    """P(|e| <= z sigma) = erf(z / (factor sqrt 2)) for errors that are factor larger."""
    found, right = drawn(factor).compute(), drawn(1.0).compute()
    assert found is not None and right is not None
    quantiles = [NormalDist().inv_cdf(0.5 + 0.5 * level) for level in found.level[:-1]]
    expected = [math.erf(z / (factor * math.sqrt(2.0))) for z in quantiles] + [1.0]
    np.testing.assert_allclose(found.coverage, expected, atol=0.01)
    assert found.calibration_error > 0.1


def test_likelihood_of_one_pixel_by_hand() -> None:
    metric = SigmaCalibration()
    metric.update(np.array([11.0]), np.array([10.0]), np.array([math.sqrt(2.0)]))
    found = metric.compute()
    assert found is not None
    assert found.nll == pytest.approx(1.0 + math.log(2.0))
    # erf(1 / 2) = 52.05 %: the interval of 52 % leaves the pixel out, that of 53 % has it.
    assert (found.coverage[52], found.coverage[53], found.pixels) == (0.0, 1.0, 1)


def test_errors_within_sigma_by_hand() -> None:
    metric = SigmaCalibration()
    target = np.full(4, 10.0)
    metric.update(target + np.array([0.5, -1.0, 1.5, 2.5]), target, np.ones(4))
    found = metric.compute()
    assert found is not None
    assert (found.within_1_sigma, found.within_2_sigma) == (0.5, 0.75)


def test_merging_is_adding_and_nothing_is_none() -> None:
    assert SigmaCalibration().compute() is None
    whole, part = drawn(1.0), drawn(2.0)
    merged = SigmaCalibration()
    merged.merge(whole)
    merged.merge(part)
    np.testing.assert_allclose(merged.sums, whole.sums + part.sums)


@pytest.mark.parametrize(
    'arrays',
    [
        (np.ones(2), np.ones(3), np.ones(3)),
        (np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))),
        (np.ones(2), np.ones(2), np.array([1.0, 0.0])),
        (np.array([1.0, np.inf]), np.ones(2), np.ones(2)),
        (np.ones(2), np.ones(2), np.array([1.0, np.nan])),
    ],
)
def test_what_is_no_pixel_is_refused(arrays: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ShapeError):
        SigmaCalibration().update(*arrays)
