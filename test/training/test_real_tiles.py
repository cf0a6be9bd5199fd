# SPDX-License-Identifier: Apache-2.0
"""The labeled tiles among the real samples."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from kd_perception.errors import DatasetError
from training.data.real_tiles import load_real_tiles


def test_real_tiles_have_class_ids_as_labels(real_data):
    tiles = load_real_tiles()
    assert len(tiles) == 4
    for tile in tiles:
        assert tile.thermal.shape == tile.label.shape == (280, 372)
        assert tile.rgb.shape == (280, 372, 3)
        assert set(np.unique(tile.label)) <= {*range(9), 255}
    assert sum((tile.label == 2).sum() for tile in tiles) > 500
    assert np.ptp(tiles[0].rgb.astype(int), axis=2).max() > 50, 'a color image has colors'


def test_missing_tiles_are_none_and_missing_files_an_error(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path))
    assert load_real_tiles() == []
    shutil.copytree(real_data / 'rtfnet_tiles', tmp_path / 'rtfnet_tiles')
    (tmp_path / 'rtfnet_tiles' / '02_rgb.png').unlink()
    with pytest.raises(DatasetError, match='02_rgb'):
        load_real_tiles()
