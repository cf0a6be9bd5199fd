# SPDX-License-Identifier: Apache-2.0
"""Maps cut into square tiles, and put together again."""

from __future__ import annotations

import math

from torch import Tensor

from kd_perception.errors import ShapeError
from training.tensor_checks import check_shape


def tiling_size(size: tuple[int, int], tile: int) -> tuple[int, int]:
    """The multiples of a tile that are nearest to a size, at least one tile each.

    Halves are rounded up: 480x640 with tiles of 224 gives 448x672, six tiles.

    Args:
        size: (height, width) of a map.
        tile: side of a tile, >= 1.
    """
    height, width = (max(1, math.floor(side / tile + 0.5)) * tile for side in size)
    return height, width


def tiles_from_maps(maps: Tensor, tile: int) -> Tensor:
    """Cut maps into tiles that cover each pixel once.

    Args:
        maps: [batch, channels, height, width], both sides multiples of the tile.
        tile: side of a tile in pixels, >= 1.

    Returns:
        [batch * tiles, channels, tile, tile]: image by image, row by row.

    Raises:
        ShapeError: the maps have another shape.
    """
    check_shape('maps', maps, (None, None, None, None))
    batch, channels, height, width = maps.shape
    if tile < 1 or height % tile or width % tile:
        raise ShapeError(
            f'height and width of maps must be multiples of the tile, {tile}, received '
            f'{list(maps.shape)}: resize them to tiling_size before'
        )
    split = maps.reshape(batch, channels, height // tile, tile, width // tile, tile)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, tile, tile)


def maps_from_tiles(tiles: Tensor, size: tuple[int, int]) -> Tensor:
    """Put tiles together again; the inverse of `tiles_from_maps`.

    Args:
        tiles: [batch * tiles, channels, tile, tile].
        size: (height, width) of a map.

    Returns:
        [batch, channels, *size].

    Raises:
        ShapeError: the tiles do not fill maps of this size.
    """
    check_shape('tiles', tiles, (None, None, None, None))
    count, channels, tile, other = tiles.shape
    rows, columns = size[0] // tile, size[1] // tile
    whole = (rows * tile, columns * tile) == tuple(size) and rows * columns > 0
    if tile != other or not whole or count % (rows * columns):
        raise ShapeError(
            f'tiles must be square and fill maps of {list(size)}, received {list(tiles.shape)}'
        )
    split = tiles.reshape(-1, rows, columns, channels, tile, tile)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, *size)
