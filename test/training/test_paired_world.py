# SPDX-License-Identifier: Apache-2.0
"""Frames with pairs have a folder of their own in the cache, and are those of the world."""

from __future__ import annotations

import pickle

import numpy as np

from kd_perception.world import render_frame
from kd_perception.world.pairs import render_paired_frame
from training.data.paired_world import PairedSplit, with_pairs
from training.data.world import WorldSplit, load_world

WORLD = {'height': 48, 'width': 64, 'density': 3.0}
SPLIT = WorldSplit('train', 1, 3, world=WORLD, fields=('thermal', 'label'))


def test_pairs_are_rendered_and_cached_apart(tmp_path):
    paired = with_pairs(SPLIT)
    assert isinstance(paired, PairedSplit) and paired.key() != SPLIT.key()
    assert pickle.loads(pickle.dumps(paired)) == paired
    plain_data, paired_data = load_world(SPLIT, tmp_path), load_world(paired, tmp_path)
    assert plain_data.folder != paired_data.folder
    config, seed = SPLIT.config(), SPLIT.world_seed()
    for index in range(3):
        expected = render_frame(config, seed, index, ('thermal',))
        np.testing.assert_array_equal(plain_data[index].label, expected.label)
        expected = render_paired_frame(config, seed, index, ('thermal',))
        np.testing.assert_array_equal(paired_data[index].label, expected.label)
        np.testing.assert_array_equal(paired_data[index].thermal, expected.thermal)
