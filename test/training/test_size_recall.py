# SPDX-License-Identifier: Apache-2.0
"""Recall by the size of things: hand numbers, what is a thing, and what does not count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.size_recall import SizeRecall


def test_things_count_equally_whatever_their_area():
    label = np.zeros((8, 10), np.uint8)
    label[0, 0], label[1, 1] = 1, 1  # one thing of two pixels, joined at a corner
    label[4:6, 4:6] = 1  # one of four
    label[0:6, 7:9] = 2  # one of twelve
    mask = np.zeros_like(label)
    mask[0, 0] = 1
    mask[4:6, 4:6] = 1
    mask[0:3, 7:9] = 2
    mask[3, 7] = 1  # another class does not count as found
    recall = SizeRecall(3, (2, 8))
    recall.update(mask, label)
    report = recall.report()
    assert list(report) == ['1-2', '3-8', '9-']
    assert [group['things'] for group in report.values()] == [1, 1, 1]
    assert [group['recall'] for group in report.values()] == [0.5, 1.0, 0.5]
    assert report['1-2']['recall_by_class'] == [None, 0.5, None]
    assert report['9-']['recall_by_class'] == [None, None, 0.5]


def test_touching_things_of_two_classes_are_two():
    label = np.repeat(np.array([[1, 2]], np.uint8), 2, axis=1)
    recall = SizeRecall(3, (8,))
    recall.update(np.full_like(label, 2), label)
    assert recall.report()['1-8']['recall_by_class'] == [None, 0.0, 1.0]


def test_background_and_what_is_not_known_are_no_things():
    label = np.array([[0, 255, 255, 0]], np.uint8)
    recall = SizeRecall(3)
    recall.update(np.zeros_like(label), label)
    assert all(g['things'] == 0 and g['recall'] is None for g in recall.report().values())


@given(st.integers(0, 2**20), st.floats(0.2, 0.9))
def test_right_masks_find_all_and_frames_add_up(seed, share):
    rng = np.random.default_rng(seed)
    labels = [(rng.random((9, 11)) < share).astype(np.uint8) * k for k in (1, 2)]
    right, wrong, both = (SizeRecall(3, (4,)) for _ in range(3))
    for label in labels:
        right.update(label, label)
        wrong.update(np.zeros_like(label), label)
        both.update(label, label)
        both.update(np.zeros_like(label), label)
    for name, group in right.report().items():
        found = both.report()[name]
        assert found['things'] == 2 * group['things']
        if group['things']:
            assert (group['recall'], found['recall']) == (1.0, pytest.approx(0.5))
            assert wrong.report()[name]['recall'] == 0.0
