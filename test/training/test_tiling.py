# SPDX-License-Identifier: Apache-2.0
"""Tiles cover each pixel once, in order, and make the map again."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from training.losses import maps_from_tiles, tiles_from_maps, tiling_size


def test_sizes_of_the_papers_data_sets():
    assert tiling_size((480, 640), 224) == (448, 672)
    assert tiling_size((672, 1344), 224) == (672, 1344)
    assert tiling_size((96, 128), 48) == (96, 144)
    assert tiling_size((64, 64), 224) == (224, 224)


def test_eighteen_tiles_of_the_papers_maps():
    maps = torch.arange(672 * 1344, dtype=torch.float32).view(1, 1, 672, 1344)
    tiles = tiles_from_maps(maps, 224)
    assert tiles.shape == (18, 1, 224, 224)
    assert torch.equal(tiles.flatten().sort().values, maps.flatten())
    assert torch.equal(tiles[7, 0], maps[0, 0, 224:448, 224:448])
    assert torch.equal(maps_from_tiles(tiles, (672, 1344)), maps)


@given(*(st.integers(1, 4) for _ in range(4)), st.integers(1, 6))
def test_tiles_and_maps_are_the_inverse_of_each_other(batch, channels, rows, columns, tile):
    size = (rows * tile, columns * tile)
    maps = torch.arange(batch * channels * size[0] * size[1]).view(batch, channels, *size)
    tiles = tiles_from_maps(maps, tile)
    assert tiles.shape == (batch * rows * columns, channels, tile, tile)
    last = maps[-1, :, -tile:, -tile:]
    assert torch.equal(tiles[-1], last)
    assert torch.equal(maps_from_tiles(tiles, size), maps)


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 300))
def test_tiling_size_is_the_nearest_multiple(height, width, tile):
    for side, found in zip((height, width), tiling_size((height, width), tile), strict=True):
        assert found % tile == 0 and found >= tile
        assert found == tile or abs(found - side) <= tile / 2


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match='multiples of the tile, 32'):
        tiles_from_maps(torch.zeros(1, 1, 48, 64), 32)
    with pytest.raises(ShapeError, match=r'fill maps of \[64, 64\]'):
        maps_from_tiles(torch.zeros(3, 1, 32, 32), (64, 64))
    with pytest.raises(ShapeError, match='fill maps'):
        maps_from_tiles(torch.zeros(4, 1, 32, 16), (64, 64))
