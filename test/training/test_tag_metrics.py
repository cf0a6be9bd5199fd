# SPDX-License-Identifier: Apache-2.0
"""Figures of tags: by hand, and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from training.tag_metrics import average_precision, tag_metrics


def test_average_precision_by_hand():
    present = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), present) == (1.0 + 2.0 / 3.0) / 2.0
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), present) == 1.0
    assert average_precision(np.zeros(4), present) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert np.isnan(average_precision(np.zeros(4), np.zeros(4, bool)))


@given(st.integers(0, 2**20), st.integers(1, 30))
def test_average_precision_by_counting(seed, count):
    rng = np.random.default_rng(seed)
    scores, present = rng.permutation(count).astype(float), rng.uniform(size=count) < 0.5
    present[0] = True
    precisions = []
    for k in np.flatnonzero(present):
        above = scores >= scores[k]
        precisions.append(present[above].mean())
    expected = np.mean(precisions)
    assert average_precision(scores, present) == pytest.approx(expected)


def test_tags_by_class():
    scores = np.array([[1.0, -1.0], [2.0, -2.0], [-1.0, -3.0], [3.0, -4.0]])
    tags = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    found = tag_metrics(scores, tags, ('car', 'bus'))
    assert found['class_accuracy'] == {'car': 0.5, 'bus': 1.0} and found['accuracy'] == 0.75
    assert found['share'] == {'car': 0.75, 'bus': 0.0}
    assert found['majority_accuracy'] == 0.875
    assert found['average_precision']['bus'] is None
    assert found['mean_average_precision'] == found['average_precision']['car']


@pytest.mark.parametrize('shape', [(0, 2), (3, 1), (3,)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match='at least one image'):
        tag_metrics(np.zeros(shape), np.zeros(shape, bool), ('car', 'bus'))
