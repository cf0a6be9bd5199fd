# SPDX-License-Identifier: Apache-2.0
"""Real data sets by the splits of a run, and frames of whole recordings that are held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labeled_folders import WRITERS

from kd_perception.errors import ConfigError, DatasetError
from training.data import labeled_sets
from training.data.labeled_sets import labeled_set


@pytest.fixture(params=WRITERS)
def kind(request):
    return request.param


@pytest.fixture
def root(kind, tmp_path):
    write, counts = WRITERS[kind]
    write(tmp_path, counts)
    return str(tmp_path)


def test_splits_by_the_names_of_a_run(kind, root):
    counts = {name: len(labeled_set(kind, root, name)) for name in labeled_sets.SPLITS[kind]}
    assert list(counts.values()) == list(WRITERS[kind][1].values())
    with pytest.raises(ConfigError, match=f'splits of {kind} are .*got .night'):
        labeled_set(kind, root, 'night')
    with pytest.raises(DatasetError):
        labeled_set(kind, root + '/absent', 'train')


def test_last_recordings_are_held_out_whole(tmp_path):
    write, counts = WRITERS['pst900']
    write(tmp_path, counts)
    whole = labeled_set('pst900', str(tmp_path), 'train')
    for share, held in ((0.1, 1), (0.2, 3), (0.34, 5)):
        train, validation, test = (
            labeled_set('pst900', str(tmp_path), name, held_out_share=share)
            for name in ('train', 'validation', 'test')
        )
        assert (len(train), len(validation), len(test)) == (9 - held, held, 3)
        parts = [*(train[k] for k in range(len(train)))]
        parts += [validation[k] for k in range(len(validation))]
        for k, found in enumerate(parts):
            assert found.name == whole[k].name
            np.testing.assert_array_equal(found.label, whole[k].label)
        with pytest.raises(IndexError):
            train[len(train)]


def test_a_set_with_a_validation_split_keeps_it(tmp_path):
    with pytest.raises(ConfigError, match='mfnet has a validation split'):
        labeled_set('mfnet', str(tmp_path), 'train', held_out_share=0.2)


@given(st.lists(st.sampled_from('abcdef'), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_as_few_groups_as_make_up_the_share(groups, share):
    out = labeled_sets._held_out_groups(groups, share)
    assert out == set(sorted(set(groups))[-len(out) :])
    first = min(out)
    sizes = [sum(each in some for each in groups) for some in (out, out - {first})]
    assert sizes[0] >= share * len(groups) > sizes[1]
