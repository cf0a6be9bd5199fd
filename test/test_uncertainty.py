# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.uncertainty import (
    confidence_from_logits,
    fit_temperature,
    negative_log_likelihood,
)

logits = hnp.arrays(np.float32, (5, 3, 4), elements=st.floats(-50, 50, width=32))


@given(logits, st.floats(0.1, 10))
def test_ranges_and_class(values: np.ndarray, temperature: float) -> None:
    mask, confidence, uncertainty = confidence_from_logits(values, temperature)
    assert (confidence >= 1 / 5 - 1e-9).all()
    assert (confidence <= 1 + 1e-9).all()
    assert (uncertainty >= -1e-9).all()
    assert (uncertainty <= 1 + 1e-9).all()
    np.testing.assert_array_equal(mask, values.astype(np.float64).argmax(0))


def test_entropy_by_hand() -> None:
    probabilities = np.array([0.7, 0.2, 0.1])
    _, confidence, uncertainty = confidence_from_logits(np.log(probabilities)[:, None])
    expected = -(probabilities * np.log(probabilities)).sum() / math.log(3)
    assert confidence[0] == pytest.approx(0.7)
    assert uncertainty[0] == pytest.approx(expected)


@given(logits, st.floats(-20, 20))
def test_a_common_offset_changes_nothing(values: np.ndarray, offset: float) -> None:
    plain = confidence_from_logits(values)
    moved = confidence_from_logits(values.astype(np.float64) + offset)
    np.testing.assert_allclose(plain.uncertainty, moved.uncertainty, atol=1e-6)


@pytest.mark.parametrize('true_temperature', [0.4, 1.0, 3.0])
def test_fitted_temperature_recovers_the_truth(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    calibrated = rng.normal(0, 2, (60_000, 6))
    shifted = np.exp(calibrated - calibrated.max(1, keepdims=True))
    cumulative = np.cumsum(shifted / shifted.sum(1, keepdims=True), axis=1)
    labels = (rng.uniform(size=(60_000, 1)) > cumulative).sum(1).astype(np.uint8)
    found = fit_temperature(calibrated * true_temperature, labels)
    assert found == pytest.approx(true_temperature, rel=0.03)


def test_fit_never_raises_the_likelihood_loss() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 2000)
    values = rng.normal(0, 4, (2000, 4)) + 3 * np.eye(4)[labels]
    labels[:500] = 255
    found = fit_temperature(values, labels)
    best = negative_log_likelihood(values, labels, found)
    for other in (1.0, 0.8 * found, 1.2 * found):
        assert best <= negative_log_likelihood(values, labels, other) + 1e-9


def test_ignored_pixels_do_not_count() -> None:
    values = np.array([[2.0, 0.0], [0.0, 9.0]])
    one = negative_log_likelihood(values, np.array([0, 255]))
    assert one == pytest.approx(math.log(1 + math.exp(-2)))


@pytest.mark.parametrize(
    ('values', 'labels'),
    [(np.zeros((2, 3)), np.array([255, 255])), (np.zeros((2, 3)), np.zeros(3, int))],
)
def test_nothing_to_fit_on_is_an_error(values: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        fit_temperature(values, labels)
