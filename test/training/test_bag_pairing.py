# SPDX-License-Identifier: Apache-2.0
"""Stamps are paired nearest first, each once, and nothing that fits is left over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.data import bag_pairing
from training.data.bag_pairing import chosen, nearest_gaps_ms, pair_stamps

STAMPS = st.lists(st.integers(-5, 200), max_size=25)


@given(STAMPS, STAMPS, st.integers(0, 30))
def test_pairs_are_one_to_one_within_the_gap_and_leave_nothing_that_fits(thermal, rgb, gap):
    pairs = pair_stamps(thermal, rgb, gap)
    assert all(len(set(column)) == len(pairs) for column in pairs.T.tolist())
    assert all(thermal[i] > 0 and rgb[j] > 0 and abs(thermal[i] - rgb[j]) <= gap for i, j in pairs)
    free_i = [t for i, t in enumerate(thermal) if t > 0 and i not in pairs[:, 0]]
    free_j = [r for j, r in enumerate(rgb) if r > 0 and j not in pairs[:, 1]]
    assert all(abs(t - r) > gap for t in free_i for r in free_j)


@given(st.sets(st.integers(1, 10**12), max_size=30), st.randoms(use_true_random=False))
def test_equal_stamps_find_each_other_in_any_order(stamps, random):
    thermal, rgb = sorted(stamps), sorted(stamps)
    random.shuffle(thermal)
    random.shuffle(rgb)
    pairs = pair_stamps(thermal, rgb, 10**9)
    assert [thermal[i] for i, _ in pairs] == [rgb[j] for _, j in pairs] == sorted(stamps)


def test_the_nearest_of_two_rivals_gets_the_image():
    assert pair_stamps([100, 104], [105], 10).tolist() == [[1, 0]]
    assert pair_stamps([100, 104], [105, 90], 10).tolist() == [[0, 1], [1, 0]]


def test_images_without_a_stamp_have_no_partner():
    assert pair_stamps([0, 0, -1], [0, 0, -1], 100).shape == (0, 2)
    assert pair_stamps([], [1], 100).shape == (0, 2)


def test_a_clock_that_stands_still_is_refused(monkeypatch):
    monkeypatch.setattr(bag_pairing, 'MAX_CANDIDATES', 100)
    with pytest.raises(ConfigError, match='one and the same stamp'):
        pair_stamps([7] * 20, [7] * 20, 0)


def test_every_third_pair_and_of_these_the_first_ones():
    pairs = np.arange(20).reshape(10, 2)
    assert chosen(pairs, 3, 0)[:, 0].tolist() == [0, 6, 12, 18]
    assert chosen(pairs, 3, 2)[:, 0].tolist() == [0, 6]


@given(STAMPS, STAMPS)
def test_nearest_gap_is_the_smallest_of_all(thermal, rgb):
    valid = [t for t in rgb if t > 0]
    expected = [min(abs(t - r) for r in valid) / 1e6 for t in sorted(thermal) if t > 0 and valid]
    np.testing.assert_allclose(nearest_gaps_ms(thermal, rgb), expected)
