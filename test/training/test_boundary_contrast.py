# SPDX-License-Identifier: Apache-2.0
"""Contrast across outlines: by hand, and what squaring does to it."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.errors import ShapeError
from training.boundary_contrast import BoundaryContrast

LABEL = np.array([[0, 0, 1, 1], [0, 0, 1, 2]], np.uint8)
LEVELS = {0: 0.2, 1: 0.8, 2: 0.3}


def image_of(label):
    return np.vectorize(LEVELS.get)(label)


def test_by_hand():
    contrast = BoundaryContrast(4)
    contrast.update(image_of(LABEL), LABEL)
    # 0|1 twice (0.6), 1 over 2 once and 1|2 once (0.5 each).
    expected = [0.6, (2 * 0.6 + 2 * 0.5) / 4, 0.5]
    np.testing.assert_allclose(contrast.mean()[:3], expected)
    assert np.isnan(contrast.mean()[3])


def test_squaring_changes_it_by_the_sum_of_the_levels():
    before, after = BoundaryContrast(3), BoundaryContrast(3)
    before.update(image_of(LABEL), LABEL)
    after.update(image_of(LABEL) ** 2, LABEL)
    ratio = after.mean() / before.mean()
    assert ratio[0] == pytest.approx(0.2 + 0.8) and ratio[2] == pytest.approx(0.8 + 0.3)


def test_unknown_pixels_and_frames_of_one_class_do_not_count():
    contrast = BoundaryContrast(3)
    contrast.update(np.random.default_rng(0).random((4, 4)), np.zeros((4, 4), np.uint8))
    contrast.update(np.eye(2), np.array([[1, 255], [255, 1]], np.uint8))
    assert np.isnan(contrast.mean()).all()


def test_frames_add_up():
    contrast = BoundaryContrast(2)
    for step in (0.2, 0.6):
        contrast.update(np.array([[0.0, step]]), np.array([[0, 1]], np.uint8))
    np.testing.assert_allclose(contrast.mean(), 0.4)


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match='same size'):
        BoundaryContrast(2).update(np.zeros((2, 3)), np.zeros((3, 2), np.uint8))
