# SPDX-License-Identifier: Apache-2.0
"""Names of images that are tagged, and of the tiles that they are cut into.

    t1700000000000000000        an image: its header stamp in nanoseconds
    t1700000000000000000_1_3    its tile in row 1 and column 3, counted from 0

The letter is there for spreadsheets: they take a stamp alone for a number, and round it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kd_perception.errors import DatasetError

Place = tuple[int, int]
"""Row and column of a tile in its image."""

Grid = list[list[str]]
"""Names of the tiles of an image, row by row; one name where it was not cut."""

_TILE = re.compile(r'(.+)_([0-9]{1,2})_([0-9]{1,2})')


def frame_name(stamp_ns: int, place: Place | None = None) -> str:
    """The name of an image, or of one of its tiles.

    Args:
        stamp_ns: Of the image's header.
        place: Of the tile; None for the whole image.
    """
    tile = '' if place is None else f'_{place[0]}_{place[1]}'
    return f't{stamp_ns}{tile}'


def image_of(name: str) -> str:
    """The name of the image that a frame is, or is a tile of."""
    found = _TILE.fullmatch(name)
    return found[1] if found else name


def place_of(name: str) -> Place | None:
    """Row and column of a tile; None for a whole image."""
    found = _TILE.fullmatch(name)
    return (int(found[2]), int(found[3])) if found else None


def in_time(name: str) -> tuple[int, str, Place]:
    """Key that sorts by time, then by place; simulated time begins with stamps of few digits."""
    image = image_of(name)
    return len(image), image, place_of(name) or (0, 0)


def by_place(name: str) -> tuple[Place, int, str]:
    """Key that sorts by place, then by time: tiles of one place follow each other."""
    length, image, place = in_time(name)
    return place, length, image


def grid_size(names: Iterable[str]) -> tuple[int, int]:
    """Rows and columns that images are cut into, (1, 1) where they are not.

    Raises:
        DatasetError: Some images are cut and others are not.
    """
    places = {place_of(name) for name in names}
    tiles = [place for place in places if place is not None]
    if not tiles:
        return 1, 1
    if len(tiles) < len(places):
        raise DatasetError(
            'all images must be cut into the same tiles, and some are whole: tag whole images and '
            'tiles into folders of their own'
        )
    return 1 + max(row for row, _ in tiles), 1 + max(column for _, column in tiles)


def grids_of(names: Iterable[str]) -> Iterator[Grid]:
    """Names by image, in the order of the names; tiles of an image that lacks some stay alone.

    Raises:
        DatasetError: As `grid_size`.
    """
    images: dict[str, dict[Place, str]] = {}
    for name in names:
        images.setdefault(image_of(name), {})[place_of(name) or (0, 0)] = name
    rows, columns = grid_size(name for tiles in images.values() for name in tiles.values())
    for tiles in images.values():
        if len(tiles) == rows * columns:
            yield [[tiles[row, column] for column in range(columns)] for row in range(rows)]
        else:
            yield from ([[name]] for name in tiles.values())
