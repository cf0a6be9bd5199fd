# SPDX-License-Identifier: Apache-2.0
"""Extracted pairs are stored whole or not at all, and once."""

from __future__ import annotations

import shutil

import pytest
from pair_bags import (
    counts,
    extracted,
    write_pairs,
)

from kd_perception.errors import ConfigError
from training.data import bag_chunks, bag_digest, bag_extraction
from training.data.bag import BagPairsConfig, load_bag


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ('bag_extraction', 'bag'):
        monkeypatch.setattr(f'training.data.{module}.CHUNK_PAIRS', 2)


def test_interrupted_extraction_goes_on_and_leaves_nothing_half(tmp_path, monkeypatch):
    path, read = write_pairs(tmp_path / 'drive', 7), []

    def dying(message):
        read.append(message)
        if len(read) == 8:
            raise KeyboardInterrupt
        return decode(message)

    decode = bag_extraction.frame_from_message
    monkeypatch.setattr(bag_extraction, 'frame_from_message', dying)
    with pytest.raises(KeyboardInterrupt):
        extracted(path, tmp_path)
    (folder,) = (f for f in (tmp_path / 'cache').iterdir() if f.name != 'digests')
    names = sorted(file.name for file in folder.iterdir())
    assert names == ['chunk_000000.json', 'lock', 'rgb_000000.npy', 'thermal_000000.npy']
    (folder / 'rgb_000001.npy.part').write_bytes(b'left by a killed process')
    data = extracted(path, tmp_path)
    assert len(read) == 8 + 2 * 5, 'the first chunk is not read again'
    assert data.folder == folder and not list(folder.glob('*.part'))
    assert data.digest() == load_bag(BagPairsConfig(path), tmp_path / 'other').digest()
    assert counts(data, 'thermal') == {'used': 7}


def test_arrays_without_their_list_do_not_count(tmp_path):
    path = write_pairs(tmp_path / 'drive', 3)
    data = extracted(path, tmp_path)
    expected = data.digest()
    (data.folder / 'pairs.json').unlink()
    bag_chunks.list_path(data.folder, 0).unlink()
    bag_chunks.array_path(data.folder, 'rgb', 0).write_bytes(b'torn')
    assert extracted(path, tmp_path).digest() == expected


def test_cache_belongs_to_content_and_settings(tmp_path, monkeypatch):
    path = write_pairs(tmp_path / 'drive')
    first = extracted(path, tmp_path)
    shutil.copytree(path, tmp_path / 'copy')
    other = extracted(write_pairs(tmp_path / 'other', offset_ms=4.0), tmp_path)
    wide = extracted(path, tmp_path, max_gap_ms=30.0)
    assert len({data.folder for data in (first, other, wide)}) == 3
    for module in ('bag.extract', 'bag_extraction.frame_from_message'):
        monkeypatch.setattr(f'training.data.{module}', None)
    assert extracted(tmp_path / 'copy', tmp_path, max_gb=1.0).folder == first.folder
    monkeypatch.setattr(bag_digest, '_hash', None)
    again = extracted(path, tmp_path)
    assert again.digest() == first.digest() and again.report == first.report


def test_size_is_bounded_before_anything_is_written(tmp_path):
    path = write_pairs(tmp_path / 'drive')
    with pytest.raises(ConfigError, match=r'6 of 48x64 have 0\.00: raise stride'):
        extracted(path, tmp_path, max_gb=9e-5)
    assert not list((tmp_path / 'cache').rglob('*.npy*'))
    assert len(extracted(path, tmp_path, max_gb=9.3e-5)) == 6
