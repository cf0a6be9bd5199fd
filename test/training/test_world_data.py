# SPDX-License-Identifier: Apache-2.0
"""The cache of rendered frames: right, atomic, resumable."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig, render_frame
from training.data import world as world_data
from training.data.world import WorldSplit, load_world

WORLD = WorldConfig(height=64, width=96)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(world_data, 'CHUNK_FRAMES', 3)


def test_frames_are_those_of_the_world(tmp_path):
    data = load_world(WorldSplit(4, 8, WORLD), tmp_path)
    assert len(data) == 8
    for index in (0, 2, 3, 7):
        thermal, label = data[index]
        expected = render_frame(WORLD, 4, index)
        np.testing.assert_array_equal(thermal, expected.thermal)
        np.testing.assert_array_equal(label, expected.label)
    with pytest.raises(IndexError, match='0 to 7'):
        data[8]


def test_second_load_renders_nothing(tmp_path, monkeypatch):
    split = WorldSplit(4, 5, WORLD)
    first = load_world(split, tmp_path).digest()
    monkeypatch.setattr(world_data, 'render_frame', None)
    assert load_world(split, tmp_path).digest() == first


def test_killed_rendering_goes_on_with_whole_chunks(tmp_path, monkeypatch):
    split = WorldSplit(4, 8, WORLD)
    rendered = []

    def dying(config, seed, index):
        rendered.append(index)
        if len(rendered) == 5:
            raise KeyboardInterrupt
        return render_frame(config, seed, index)

    monkeypatch.setattr(world_data, 'render_frame', dying)
    with pytest.raises(KeyboardInterrupt):
        load_world(split, tmp_path)
    data = load_world(split, tmp_path)
    assert rendered == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7]
    assert data.digest() == load_world(split, tmp_path / 'other').digest()
    assert not list(tmp_path.rglob('*.tmp'))


def test_two_processes_give_the_same_data(tmp_path, monkeypatch):
    # Spawned renderers import the module anew: chunk borders come with the chunks, not from it.
    split = WorldSplit(4, 4, WORLD)
    alone = load_world(split, tmp_path / 'alone').digest()
    assert load_world(split, tmp_path / 'pair', processes=2).digest() == alone


def test_splits_do_not_share_a_folder():
    splits = [WorldSplit(4, 5, WORLD), WorldSplit(5, 5, WORLD), WorldSplit(4, 5)]
    assert len({split.key() for split in splits}) == 3
    assert WorldSplit(4, 50, WORLD).key() == splits[0].key()


def test_class_shares_sum_to_one(tmp_path):
    shares = load_world(WorldSplit(4, 4, WORLD), tmp_path).class_shares()
    assert shares.shape == (9,)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.argmax() == 0


def test_bad_splits_are_refused():
    with pytest.raises(ConfigError, match='count'):
        WorldSplit(1, 0)
