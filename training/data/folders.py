# SPDX-License-Identifier: Apache-2.0
"""What the loaders of public data sets share: is the set there, and what is in a file.

A loader checks all file names of its split when it is made, against one listing per folder, so a
half-downloaded set is refused at once and not after hours of training. Pixels are looked at when a
sample is read; a damaged file is refused by its name. Everything raised is a `DatasetError`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kd_perception.errors import DatasetError
from kd_perception.label_sets import LabelSet

Array = npt.NDArray[Any]

MAX_IMAGE_PIXELS = 2**26
"""Larger images are refused by their header; Cityscapes, the largest set, has 2**21."""

_MAX_LIST_BYTES = 2**26
_EXAMPLES = 5
# All that Pillow raises for damaged files, by format and version.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class DataSource:
    """How a set is laid out and how a user comes by it; both end up in error messages.

    Args:
        name: of the set.
        layout: what is expected below the root, one path pattern per line.
        how_to_get: where it is published and what to do with the download.
    """

    name: str
    layout: str
    how_to_get: str


def check_root(root: Path, source: DataSource) -> None:
    """Refuse a root folder that does not exist, with a DatasetError that says how to get it."""
    if not root.is_dir():
        raise DatasetError(
            f'{_expected(root, source)}\nbut there is no such folder.{_get(source)}'
        )


def check_files(root: Path, files: Iterable[str], source: DataSource) -> None:
    """Refuse a set of which a file is not there; every folder is listed once.

    Args:
        root: folder of the set.
        files: paths below the root, with '/'.
        source: of the set, for the message.

    Raises:
        DatasetError: says how many files are missing, with the first of them by name.
    """
    check_root(root, source)
    wanted = [(file, *file.rpartition('/')[::2]) for file in files]
    listings = {folder: set(file_names(root / folder)) for folder in {f for _, f, _ in wanted}}
    missing = [file for file, folder, name in wanted if name not in listings[folder]]
    if missing:
        found = ', '.join(f'{f or "."}: {len(listings[f])}' for f in sorted(listings)[:_EXAMPLES])
        raise DatasetError(
            f'{_expected(root, source)}\nbut {len(missing)} of {len(wanted)} files are missing: '
            f'{_examples(missing)}.\nFiles found: {found}; the root holds '
            f'{_examples(file_names(root)) or "nothing"}.{_get(source)}'
        )


def file_names(folder: Path, suffix: str = '') -> list[str]:
    """Names in a folder with that ending, sorted, no hidden ones; none if it does not exist."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in names if name.endswith(suffix) and name[0] != '.')


def read_list(path: Path, source: DataSource, *, unique: bool = True) -> tuple[str, ...]:
    """Lines of a split list, without surrounding blanks; empty lines are left out.

    Args:
        path: of the list.
        source: of the set, for the message.
        unique: refuse a line that stands there twice.

    Raises:
        DatasetError: the list is not there, empty, not text, names a file outside of the set, or
            has duplicates.
    """
    if not path.is_file():
        lists = _examples(file_names(path.parent, '.txt')) or 'none'
        raise DatasetError(
            f'{source.name} must have the split list {path}; lists found there: {lists}.'
            f'{_get(source)}'
        )
    lines = tuple(line for line in map(str.strip, _text(path).splitlines()) if line)
    if not lines:
        raise DatasetError(f'a split list must name at least one sample; {path} is empty')
    _require_inside(lines, path)
    twice = [line for line, count in Counter(lines).items() if count > 1] if unique else []
    if twice:
        raise DatasetError(f'a list must name each sample once; {path} repeats {_examples(twice)}')
    return lines


def read_rgb(path: Path) -> Array:
    """Color image as uint8 [h, w, 3] in RGB order.

    Raises:
        DatasetError: the file is missing, damaged, too large, or not of 3 channels of 8 bits.
    """
    return read_pixels(path, ('RGB',), 'a color image of 3 channels of 8 bits')


def read_gray(path: Path) -> Array:
    """Image of one channel as uint8 [h, w]; three equal channels are taken as one.

    Raises:
        DatasetError: the file is missing, damaged, too large, or in color.
    """
    pixels = read_pixels(path, ('L', 'RGB'), 'a gray image of 8 bits')
    if pixels.ndim == 3 and (pixels != pixels[:, :, :1]).any():
        raise DatasetError(f'{path} must be gray; its three channels differ: it was colored')
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, 0])


def read_label(path: Path, labels: LabelSet) -> Array:
    """Label image as train ids, uint8 [h, w], 255 = ignore.

    A palette image is read by its indices: its colors are for people.

    Raises:
        DatasetError: the file is missing, damaged, too large, in color, or holds ids that the set
            does not have.
    """
    ids = read_pixels(path, ('P', 'L'), 'a label of one channel: a palette or an 8-bit image')
    try:
        return labels.train_ids_from_file_ids(ids)
    except DatasetError as error:
        raise DatasetError(f'{path}: {error}') from None


def read_u16(path: Path) -> Array:
    """Image of one channel of 16 bits as uint16 [h, w], all bits unchanged.

    Raises:
        DatasetError: the file is missing, damaged, too large, or has another type.
    """
    modes = ('I;16', 'I;16B', 'I;16L', 'I')  # older versions of Pillow open 16-bit PNG as I
    pixels = read_pixels(path, modes, 'an image of one channel of 16 bits')
    if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
        raise DatasetError(f'{path} must hold values of 16 bits; it holds larger ones')
    return pixels.astype(np.uint16)


def read_pixels(path: Path, modes: tuple[str, ...], wanted: str) -> Array:
    """Decode an image file without converting anything.

    Args:
        path: of the file.
        modes: of Pillow that are accepted.
        wanted: these modes in words, for the message.

    Raises:
        DatasetError: the file is missing, damaged, too large, or of another mode.
    """
    try:
        with Image.open(path) as image:
            _require_form(image, path, modes, wanted)
            return np.array(image)
    except FileNotFoundError:
        raise DatasetError(f'{path} must exist; it is gone since the set was checked') from None
    except _DAMAGE as error:
        raise DatasetError(f'{path} is damaged: {error}. Download or unpack it again.') from error


def check_sizes(path: Path, parts: Mapping[str, Array | None]) -> None:
    """Refuse a sample whose parts are not pixel on pixel.

    Args:
        path: of the sample's first part, for the message.
        parts: arrays [h, w, ...] by name; None is left out.

    Raises:
        DatasetError: heights or widths differ.
    """
    sizes = {name: part.shape[:2] for name, part in parts.items() if part is not None}
    if len(set(sizes.values())) > 1:
        text = ', '.join(f'{name} {height}x{width}' for name, (height, width) in sizes.items())
        raise DatasetError(f'all parts of a sample must have one size; {path.name} has {text}')


def _require_form(image: Image.Image, path: Path, modes: tuple[str, ...], wanted: str) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise DatasetError(
            f'an image may have {MAX_IMAGE_PIXELS} pixels at most; {path} has '
            f'{image.width}x{image.height}'
        )
    # Pillow stretches gray images of 2 and 4 bits to 0-255: ids would come out multiplied.
    tiles = getattr(image, 'tile', ())
    stretched = image.mode == 'L' and tiles and str(tiles[0][3]).startswith('L;')
    if image.mode not in modes or stretched:
        bits = ' with fewer than 8 bits' if stretched else ''
        raise DatasetError(f'{path} must be {wanted}; it is of mode {image.mode}{bits}')


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise DatasetError(f'a split list may have {_MAX_LIST_BYTES} bytes at most: {path}')
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise DatasetError(f'a split list must be text; {path} is not: {error}') from None


def _require_inside(lines: tuple[str, ...], path: Path) -> None:
    for line in lines:
        if '..' in PurePosixPath(line).parts or line.startswith('/') or '\0' in line:
            raise DatasetError(f'a split list must name files of its set; {path} names {line!r}')


def _expected(root: Path, source: DataSource) -> str:
    lines = ''.join(f'\n    {line}' for line in cleandoc(source.layout).splitlines())
    return f'{source.name} must be in {root} as{lines}'


def _get(source: DataSource) -> str:
    return f'\nHow to get it: {source.how_to_get}'


def _examples(names: list[str]) -> str:
    return ', '.join(names[:_EXAMPLES]) + (', ...' if len(names) > _EXAMPLES else '')
