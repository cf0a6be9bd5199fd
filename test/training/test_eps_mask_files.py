# SPDX-License-Identifier: Apache-2.0
"""Masks on the disk: whole and for good, or not there."""

from __future__ import annotations

import os

import numpy as np
import pytest
from eps_runs import tiny_run

from kd_perception.files import unfinished_files
from training.recipes.eps_mask_files import mask_path, read_mask, write_mask

MASK = np.random.default_rng(0).integers(0, 5, (9, 7)).astype(np.uint8)


@pytest.fixture
def config(tmp_path):
    return tiny_run(tmp_path, tmp_path)


def test_a_mask_is_on_the_disk_before_it_is_at_its_place(config, monkeypatch):
    path, synced, sync = mask_path(config, 'one'), [], os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (synced.append(path.exists()), sync(file)))
    write_mask(config, 'one', MASK)
    assert synced == [False]
    np.testing.assert_array_equal(read_mask(config, 'one'), MASK)


def test_a_mask_that_cannot_be_written_leaves_the_earlier_one(config, monkeypatch):
    write_mask(config, 'one', MASK)

    def full(file):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch, pytest.raises(OSError, match='No space'):
        patch.setattr(os, 'fsync', full)
        write_mask(config, 'one', 0 * MASK)
    np.testing.assert_array_equal(read_mask(config, 'one'), MASK)
    assert [each.name for each in mask_path(config, 'one').parent.iterdir()] == ['one.png']


def test_what_a_killed_process_left_is_taken_away(config):
    path = mask_path(config, 'one')
    path.parent.mkdir(parents=True)
    left = path.with_name(f'{path.name}.abc.tmp')
    left.write_bytes(b'half')
    assert unfinished_files(path) == [left]
    write_mask(config, 'one', MASK)
    assert list(path.parent.iterdir()) == [path]
