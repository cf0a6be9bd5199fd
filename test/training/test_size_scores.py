# SPDX-License-Identifier: Apache-2.0
"""Recall and precision by the size of things: hand numbers, what is a thing, what counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.label_sets import CITYSCAPES, MFNET, LabelSet
from training.size_scores import SizeScores

COLORS = ((0, 0, 0), (1, 1, 1), (2, 2, 2))
THINGS = LabelSet('things', ('background', 'box', 'bar'), COLORS)
STUFF = LabelSet('stuff', ('road', 'box', 'bar'), COLORS)


def reported(mask, label, *bounds, label_set=THINGS):
    scores = SizeScores(label_set, bounds)
    scores.update(mask, label)
    return scores.report()


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
    report = reported(mask, label, 2, 8)
    assert list(report) == ['1-2', '3-8', '9-']
    assert [group['things'] for group in report.values()] == [1, 1, 1]
    assert [group['recall'] for group in report.values()] == [0.5, 1.0, 0.5]
    by_class = report['1-2']['by_class']
    assert list(by_class) == ['box', 'bar']
    assert (by_class['box']['recall'], by_class['bar']['recall']) == (0.5, None)
    assert report['9-']['by_class']['bar']['recall'] == 0.5


def test_parts_of_the_mask_count_equally_by_their_own_area():
    label = np.zeros((6, 8), np.uint8)
    label[0:2, 0:2] = 1
    mask = np.zeros_like(label)
    mask[0:2, 0:4] = 1  # eight pixels, four of them right
    mask[4, 0] = 1  # one pixel of nothing
    mask[4, 4:6] = 2  # two of nothing, of another class
    report = reported(mask, label, 2)
    small, large = report['1-2'], report['3-']
    assert (small['precision'], small['parts']) == (0.0, 2)
    assert (large['precision'], large['parts']) == (0.5, 1)
    assert small['by_class']['bar'] == {
        'recall': None, 'things': 0, 'precision': 0.0, 'parts': 1,
    }  # fmt: skip
    assert (large['recall'], large['things']) == (1.0, 1)


def test_touching_things_of_two_classes_are_two():
    label = np.repeat(np.array([[1, 2]], np.uint8), 2, axis=1)
    by_class = reported(np.full_like(label, 2), label, 8)['1-8']['by_class']
    assert (by_class['box']['recall'], by_class['bar']['recall']) == (0.0, 1.0)
    assert (by_class['box']['precision'], by_class['bar']['precision']) == (None, 0.5)


def test_background_and_what_is_not_known_are_no_things():
    label = np.array([[0, 255, 255, 0]], np.uint8)
    for mask in (np.zeros_like(label), np.array([[0, 1, 2, 0]], np.uint8)):
        for group in reported(mask, label, 8).values():
            assert (group['things'], group['recall']) == (0, None)
            assert (group['parts'], group['precision']) == (0, None)


def test_a_set_without_background_has_things_of_its_first_class():
    label = np.array([[0, 0, 255, 1]], np.uint8)
    report = reported(np.array([[0, 1, 0, 1]], np.uint8), label, 8, label_set=STUFF)
    assert report['1-8']['by_class']['road'] == {
        'recall': 0.5, 'things': 1, 'precision': 1.0, 'parts': 1,
    }  # fmt: skip
    assert MFNET.background == 0 and CITYSCAPES.background is None


@given(st.integers(0, 2**20), st.floats(0.2, 0.9))
def test_right_masks_find_all_and_frames_add_up(seed, share):
    rng = np.random.default_rng(seed)
    labels = [(rng.random((9, 11)) < share).astype(np.uint8) * k for k in (1, 2)]
    right, wrong, both = (SizeScores(THINGS, (4,)) for _ in range(3))
    for label in labels:
        right.update(label, label)
        wrong.update(np.zeros_like(label), label)
        both.update(label, label)
        both.update(np.zeros_like(label), label)
    for name, group in right.report().items():
        found = both.report()[name]
        assert found['things'] == 2 * group['things'] and found['parts'] == group['parts']
        if group['things']:
            assert (group['recall'], found['recall']) == (1.0, pytest.approx(0.5))
            assert group['precision'] == found['precision'] == 1.0
            assert wrong.report()[name]['recall'] == 0.0
            assert wrong.report()[name]['precision'] is None


@given(st.integers(0, 2**20))
def test_precision_is_recall_with_mask_and_label_exchanged(seed):
    mask, label = np.random.default_rng(seed).integers(0, 3, (2, 8, 9)).astype(np.uint8)
    for name, group in reported(mask, label, 4).items():
        other = reported(label, mask, 4)[name]
        assert (group['recall'], group['things']) == (other['precision'], other['parts'])
