# SPDX-License-Identifier: Apache-2.0
"""Depth against true depth, by hand and by NumPy on the pixels that count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from kd_perception.evaluation.depth_predictions import PredictedDepth
from kd_perception.evaluation.depth_result import DepthScores
from kd_perception.evaluation.depth_scoring import DepthScorer

NAN, INF = math.nan, math.inf


def image(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def scores_of(prediction: PredictedDepth, target: np.ndarray, *, unscaled: bool = False):
    scorer = DepthScorer(0.1, 80.0, median_scaling=unscaled)
    figure = scorer.update(prediction, target)
    scores = scorer.scores()
    assert isinstance(scores, DepthScores)
    return scores, figure


def test_errors_by_hand() -> None:
    depth = image([10.0, 20.0, NAN], [INF, -INF, 7.0])
    target = image([8.0, 25.0, 5.0], [40.0, 0.2, NAN])
    scores, figure = scores_of(PredictedDepth(depth, True), target)
    # Beyond the range counts as 80 m, nearer than it as 0.1 m; without prediction is left out.
    expected = np.mean([2 / 8, 5 / 25, 40 / 40, 0.1 / 0.2])
    assert figure == pytest.approx(expected)
    assert scores.errors.abs_rel == pytest.approx(expected)
    assert scores.errors.rmse == pytest.approx(math.sqrt((4 + 25 + 1600 + 0.01) / 4))
    assert scores.errors.delta1 == 0.0  # 10 / 8 is 1.25, and not below
    assert (scores.pixels, scores.answered) == (5, 4 / 5)
    assert (scores.too_near, scores.too_far) == (1 / 5, 1 / 5)
    assert scores.sparsification is None and scores.calibration is None
    assert math.isnan(scores.ece)


def test_infinity_counts_as_the_end_of_what_the_node_tells() -> None:
    target = image([45.0, 0.9, 30.0])
    depth = image([INF, -INF, 60.0])
    told = PredictedDepth(depth, True, min_m=1.0, max_m=42.0)
    scores, figure = scores_of(told, target)
    assert figure == pytest.approx(np.mean([3 / 45, 0.1 / 0.9, 1.0]))
    assert scores.errors.delta1 == pytest.approx(2 / 3)


def test_true_depth_out_of_range_does_not_count() -> None:
    depth = image([10.0, 10.0, 10.0, 10.0, 10.0])
    target = image([10.0, 0.05, 90.0, 0.0, NAN])
    scores, figure = scores_of(PredictedDepth(depth, True), target)
    assert (scores.pixels, figure) == (1, 0.0)


def test_nothing_to_score_is_no_figure() -> None:
    scorer = DepthScorer(0.1, 80.0, median_scaling=False)
    assert math.isnan(scorer.update(PredictedDepth(image([1.0]), True), image([NAN])))
    assert scorer.frames == 1 and scorer.scores() is None


@given(
    seed=st.integers(0, 1000),
    share=st.floats(0.01, 1.0),
    unknown=st.floats(0.0, 0.5),
)
def test_sparse_truth_is_dense_truth_at_its_pixels(
    seed: int, share: float, unknown: float
) -> None:
    random = np.random.default_rng(seed)
    target = random.uniform(1.0, 50.0, (24, 32)).astype(np.float32)
    depth = (target * random.uniform(0.5, 1.5, target.shape)).astype(np.float32)
    depth[random.random(depth.shape) < unknown] = NAN
    sparse = np.where(random.random(target.shape) < share, target, np.float32(NAN))
    known = np.isfinite(sparse) & np.isfinite(depth)
    if not known.any():
        return
    scores, _ = scores_of(PredictedDepth(depth, True), sparse)
    p, g = depth[known].astype(float), target[known].astype(float)
    assert scores.errors.abs_rel == pytest.approx(np.mean(np.abs(p - g) / g))
    assert scores.errors.rmse == pytest.approx(np.sqrt(np.mean((p - g) ** 2)))
    assert scores.errors.delta1 == pytest.approx(np.mean(np.maximum(p / g, g / p) < 1.25))
    assert scores.answered == pytest.approx(known.sum() / np.isfinite(sparse).sum())


@given(factor=st.floats(0.01, 100.0))
def test_relative_depth_is_scored_whatever_its_unit(factor: float) -> None:
    random = np.random.default_rng(3)
    target = random.uniform(2.0, 60.0, (24, 32)).astype(np.float32)
    depth = (target * random.uniform(0.8, 1.2, target.shape)).astype(np.float32)
    one, other = (
        scores_of(PredictedDepth(depth * np.float32(k), False), target, unscaled=True)[0]
        for k in (1.0, factor)
    )
    assert one.median_scaled
    np.testing.assert_allclose(other.errors, one.errors, rtol=1e-4, atol=1e-3)


def test_confidence_against_errors_by_hand() -> None:
    depth = image([10.0, 10.0, 10.0, 10.0, INF])
    target = image([10.9, 9.1, 11.1, 20.0, 70.0])  # two of four below 10 % of the depth
    confidence = np.array([[255, 255, 51, 51, 0]], np.uint8)
    scores, _ = scores_of(PredictedDepth(depth, True, confidence=confidence), target)
    assert scores.ece == pytest.approx(0.1)  # 0.2 stated, 0 found for half of the pixels
    filled = {round(b.confidence, 3): b.accuracy for b in scores.reliability if b.pixels}
    assert filled == {0.2: 0.0, 1.0: 1.0}


def test_sigma_is_scored_where_depth_is_finite() -> None:
    depth = image([10.0, 10.0, 10.0, INF, NAN])
    sigma = image([1.0, 1.0, 4.0, NAN, NAN])
    target = image([10.5, 12.5, 15.0, 60.0, 5.0])
    scores, _ = scores_of(PredictedDepth(depth, True, sigma), target)
    assert scores.calibration is not None and scores.sparsification is not None
    assert scores.calibration.pixels == 3
    assert scores.calibration.within_1_sigma == pytest.approx(1 / 3)
    assert scores.calibration.within_2_sigma == pytest.approx(2 / 3)
    whole = np.mean([0.5 / 10.5, 2.5 / 12.5, 5.0 / 15.0])
    assert scores.sparsification.abs_rel.error_rate == pytest.approx(whole)


def test_a_sigma_of_nothing_is_no_crash() -> None:
    depth = image([10.0, 10.0])
    scores, _ = scores_of(PredictedDepth(depth, True, image([0.0, 1.0])), image([10.0, 11.0]))
    assert scores.calibration is not None and math.isfinite(scores.calibration.nll)


def test_true_depth_of_another_size_is_refused() -> None:
    scorer = DepthScorer(0.1, 80.0, median_scaling=False)
    with pytest.raises(ShapeError, match=r'of the size of the depth, \(1, 2\); received \(2, 1\)'):
        scorer.update(PredictedDepth(image([1.0, 2.0]), True), image([1.0], [2.0]))
    assert scorer.frames == 0
