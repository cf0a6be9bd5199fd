# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import EdgeIoU

PIXELS = st.integers(1, 60).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.float32, size, elements=st.floats(0, 1, width=32)),
        hnp.arrays(np.uint8, size, elements=st.sampled_from([0, 1, 255])),
    )
)
THRESHOLDS = (0.0, 0.25, 0.5, 1.0)


def edge_iou(probability, edge, thresholds=(0.5,)):
    score = EdgeIoU(thresholds)
    score.update(np.asarray(probability, float), np.asarray(edge))
    return score


def test_by_hand():
    # Predicted: 0, 1, 3; true: 1, 2; the last is ignored.
    score = edge_iou([0.9, 0.5, 0.49, 0.7, 0.9], [0, 1, 1, 0, 255])
    assert score.compute()[0].iou == pytest.approx(1 / 4)
    assert score.compute()[0].threshold == 0.5


@given(PIXELS)
def test_agrees_with_sets(pixels):
    probability, edge = pixels
    score = EdgeIoU(THRESHOLDS)
    score.update(probability, edge)
    counted = [k for k in range(edge.size) if edge[k] != 255]
    true = {k for k in counted if edge[k]}
    for threshold, iou in score.compute():
        predicted = {k for k in counted if probability[k] >= threshold}
        if true | predicted:
            assert iou == pytest.approx(len(true & predicted) / len(true | predicted), abs=1e-12)
        else:
            assert math.isnan(iou)


def test_sums_are_pooled_before_the_ratio():
    score = edge_iou([1.0], [1])
    score.merge(edge_iou([1.0, 1.0, 1.0], [False, False, True]))
    assert score.compute()[0].iou == pytest.approx(2 / 4)


def test_bad_arguments_are_refused():
    score = EdgeIoU()
    with pytest.raises(ShapeError, match='one shape'):
        score.update(np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(ShapeError, match='received bool and bool'):
        score.update(np.zeros(2, bool), np.zeros(2, bool))
    with pytest.raises(ShapeError, match='received float64 and float64'):
        score.update(np.zeros(2), np.zeros(2))
    with pytest.raises(ShapeError, match='apply the sigmoid'):
        score.update(np.array([0.0, 3.0]), np.zeros(2, bool))
    with pytest.raises(ShapeError, match='without NaN'):
        score.update(np.array([0.0, math.nan]), np.zeros(2, bool))
    with pytest.raises(ShapeError, match='received 7'):
        score.update(np.zeros(2), np.array([0, 7]))
    with pytest.raises(ShapeError, match='from 0 to 1'):
        EdgeIoU((0.5, 1.5))
    with pytest.raises(ShapeError, match='received'):
        EdgeIoU(())
    assert not score.sums.any()
