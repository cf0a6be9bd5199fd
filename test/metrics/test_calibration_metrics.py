# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import CalibrationBins, NegativeLogLikelihood
from kd_perception.uncertainty import negative_log_likelihood

CONFIDENCE = st.integers(1, 80).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.float64, size, elements=st.floats(0, 1)), hnp.arrays(np.bool_, size)
    )
)


def bins_of(confidence, correct, **options):
    bins = CalibrationBins(**options)
    bins.update(np.asarray(confidence, np.float64), np.asarray(correct, bool))
    return bins


def test_ece_by_hand():
    # Bin (0.8, 0.9]: accuracy 1/2, mean confidence 0.85; bin (0.1, 0.2]: accuracy 0, mean 0.2.
    bins = bins_of([0.82, 0.88, 0.2], [True, False, False], num_bins=10)
    assert bins.ece == pytest.approx((2 * 0.35 + 1 * 0.2) / 3)
    assert bins.bins[8].pixels == 2
    assert bins.bins[8].accuracy == 0.5
    assert bins.bins[8].confidence == pytest.approx(0.85)
    assert math.isnan(bins.bins[0].accuracy)


@pytest.mark.parametrize(('level', 'index'), [(0, 0), (17, 0), (18, 1), (34, 1), (255, 14)])
def test_byte_levels_fall_in_the_bin_they_close(level, index):
    bins = bins_of([level / 255], [True])
    assert [entry.pixels for entry in bins.bins].index(1) == index


def test_calibrated_forecast_has_small_ece_and_overconfident_one_its_gap():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.2, 1.0, 200_000)
    correct = random.random(confidence.size) < confidence
    assert bins_of(confidence, correct).ece < 0.01
    overconfident = np.full(10_000, 0.95)
    assert bins_of(overconfident, random.random(10_000) < 0.7).ece == pytest.approx(0.25, abs=0.02)


@given(CONFIDENCE, st.integers(0, 80), st.randoms(use_true_random=False))
def test_cut_merge_order_and_weights_do_not_matter(pixels, cut, random):
    confidence, correct = pixels
    whole = bins_of(confidence, correct)
    parts = bins_of(confidence[:cut], correct[:cut])
    parts.merge(bins_of(confidence[cut:], correct[cut:]))
    order = random.sample(range(confidence.size), confidence.size)
    weighted = CalibrationBins()
    weighted.update(confidence, correct, np.full(confidence.size, 3))
    for other in (parts, bins_of(confidence[order], correct[order])):
        np.testing.assert_allclose(other.sums, whole.sums, atol=1e-9)
    np.testing.assert_allclose(weighted.sums, 3 * whole.sums, atol=1e-9)
    assert weighted.ece == pytest.approx(whole.ece, abs=1e-12)


@given(CONFIDENCE, st.integers(1, 20))
def test_agrees_with_the_intervals_of_the_paper(pixels, num_bins):
    # Multiples of 1/num_bins stay out: on an edge, floats decide by their last bit.
    confidence, correct = pixels
    kept = np.abs(confidence * num_bins - np.round(confidence * num_bins)) > 1e-6
    confidence, correct = confidence[kept], correct[kept]
    gap = 0.0
    for k in range(num_bins):
        inside = [
            i for i, c in enumerate(confidence.tolist()) if k / num_bins < c <= (k + 1) / num_bins
        ]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            gap += abs(accuracy - mean) * len(inside) / confidence.size
    bins = bins_of(confidence, correct, num_bins=num_bins)
    if confidence.size:
        assert bins.ece == pytest.approx(gap, abs=1e-9)
        assert bins.compute().ece == bins.ece


@given(CONFIDENCE)
def test_nll_agrees_with_a_loop_in_any_cut(pixels):
    probability = pixels[0]
    nll = NegativeLogLikelihood()
    for value in probability:
        nll.update(np.array([value]))
    expected = sum(-math.log(max(value, 1e-12)) for value in probability.tolist())
    assert nll.compute() == pytest.approx(expected / probability.size, abs=1e-9)


def test_nll_of_probabilities_is_that_of_their_logits():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (200, 5)), rng.integers(0, 5, 200)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    nll = NegativeLogLikelihood()
    nll.update(probabilities[np.arange(200), labels])
    assert nll.nll == pytest.approx(negative_log_likelihood(logits, labels), rel=1e-9)


@given(CONFIDENCE)
def test_bounds(pixels):
    bins = bins_of(*pixels)
    assert 0 <= bins.ece <= 1
    assert sum(entry.pixels for entry in bins.bins) == pixels[0].size
    for entry in bins.bins:
        if entry.pixels:
            assert entry.low - 1e-9 <= entry.confidence <= entry.high + 1e-9
            assert 0 <= entry.accuracy <= 1


def test_no_pixels():
    assert math.isnan(CalibrationBins().ece)
    assert math.isnan(NegativeLogLikelihood().nll)


def test_nll_by_hand_and_merge():
    nll = NegativeLogLikelihood()
    nll.update(np.array([0.5, 0.25]))
    assert nll.nll == pytest.approx(1.5 * math.log(2))
    other = NegativeLogLikelihood()
    other.update(np.array([1.0]), np.array([2]))
    nll.merge(other)
    assert nll.nll == pytest.approx(0.75 * math.log(2))


def test_nll_of_an_impossible_event_is_bounded_by_the_floor():
    nll = NegativeLogLikelihood(floor=0.01)
    nll.update(np.zeros(3))
    assert nll.nll == pytest.approx(-math.log(0.01))


@pytest.mark.parametrize('bad', [-0.01, 1.01, math.nan])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ShapeError, match='from 0 to 1'):
        bins_of([0.5, bad], [True, True])


def test_bad_arguments_are_refused():
    with pytest.raises(ShapeError, match='one shape'):
        CalibrationBins().update(np.zeros(3), np.zeros(2, bool))
    with pytest.raises(ShapeError, match='bool'):
        CalibrationBins().update(np.zeros(3), np.zeros(3, np.int64))
    with pytest.raises(ShapeError, match=r'received \(3,\) and \(2,\)'):
        NegativeLogLikelihood().update(np.zeros(3), np.ones(2))
    with pytest.raises(ShapeError, match=r'received CalibrationBins\(10,\)'):
        CalibrationBins(10).merge(CalibrationBins(15))
    with pytest.raises(ShapeError, match='at least 1'):
        CalibrationBins(0)
