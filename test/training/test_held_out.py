# SPDX-License-Identifier: Apache-2.0
"""Which splits are scored and shown."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from training.data.held_out import held_out, shown_split


class Config(NamedTuple):
    split_names: tuple[str, ...]
    rendered: bool = False


def _load(name):
    assert name != 'train', 'frames that are learnt from must not be loaded to be scored'
    return [name]


def test_all_but_what_is_learnt_from_is_scored():
    found = held_out(Config(('train', 'validation', 'test')), _load)
    assert found == {'validation': ['validation'], 'test': ['test']}


def test_only_wanted_splits_are_loaded():
    loaded = []
    found = held_out(
        Config(('train', 'validation', 'test'), rendered=True), loaded.append, ['test']
    )
    assert (list(found), loaded) == (['test'], ['test'])


def test_real_tiles_are_scored_beside_the_world_alone(monkeypatch, tmp_path):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path))
    assert held_out(Config(('train', 'test'), rendered=True), _load)['real_tiles'] == []
    assert 'real_tiles' not in held_out(Config(('train', 'test')), _load)


@pytest.mark.parametrize(
    ('names', 'shown'),
    [(('train', 'validation', 'test'), 'validation'), (('train', 'test'), 'train')],
)
def test_pictures_are_of_the_test_split_never(names, shown):
    assert shown_split(Config(names)) == shown
