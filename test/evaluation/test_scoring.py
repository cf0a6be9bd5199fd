# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from kd_perception.errors import ShapeError
from kd_perception.evaluation.scoring import Scorer
from kd_perception.metrics import CalibrationBins, ConfusionMatrix, Sparsification


def random_frames(count=3):
    random = np.random.default_rng(0)
    for _ in range(count):
        label = random.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
        mask = np.where(random.random((20, 30)) < 0.7, label % 3, 1).astype(np.uint8)
        confidence = random.integers(85, 256, (20, 30)).astype(np.uint8)
        yield mask, label, confidence, random.random((20, 30)).astype(np.float32)


def test_scores_are_those_of_all_pixels_in_one_array():
    scorer = Scorer(3)
    frames = list(random_frames())
    for frame in frames:
        scorer.update(*frame)
    mask, label, confidence, uncertainty = (np.concatenate(a) for a in zip(*frames, strict=True))
    known = label != 255
    matrix, bins, curve = ConfusionMatrix(3), CalibrationBins(), Sparsification()
    matrix.update(mask, label)
    bins.update(confidence[known] / 255, (mask == label)[known])
    curve.update(uncertainty[known], (mask != label)[known])
    scores = scorer.scores()
    assert scores.segmentation == matrix.compute()
    assert scores.ece == pytest.approx(bins.ece, abs=1e-12)
    assert scores.sparsification == curve.compute()
    truth = np.where(mask == label, confidence / 255, 1 - confidence / 255)[known]
    assert scores.nll_correct == pytest.approx(-np.log(np.maximum(truth, 0.5 / 255)).mean())


def test_pixels_without_prediction_are_misses_but_not_overconfident():
    label = np.array([[1, 1, 0, 0]], np.uint8)
    mask = np.array([[1, 255, 0, 255]], np.uint8)
    confidence = np.array([[255, 0, 255, 0]], np.uint8)
    uncertainty = np.array([[0, np.nan, 0, np.nan]], np.float32)
    scorer = Scorer(2)
    assert scorer.update(mask, label, confidence, uncertainty) == 0.5
    scores = scorer.scores()
    assert scores.segmentation.unpredicted == 0.5
    assert scores.ece == 0.0
    assert scores.sparsification.error_rate == 0.0


def test_a_frame_that_is_all_without_prediction():
    scorer = Scorer(2)
    mask = np.full((2, 2), 255, np.uint8)
    nothing = np.full((2, 2), np.nan, np.float32)
    assert scorer.update(mask, np.zeros_like(mask), np.zeros_like(mask), nothing) == 0.0
    scores = scorer.scores()
    assert scores.sparsification is None
    assert math.isnan(scores.ece)


def test_what_was_not_recorded_is_left_out():
    scorer = Scorer(2)
    scorer.update(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), None, None)
    scores = scorer.scores()
    assert scores.segmentation.pixel_accuracy == 1.0
    assert math.isnan(scores.ece) and scores.sparsification is None


def test_no_frame_gives_no_scores():
    assert Scorer(2).scores() is None


def test_images_of_other_sizes_are_refused():
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(ShapeError, match='confidence must be'):
        Scorer(2).update(mask, mask, np.zeros((3, 2), np.uint8), None)
