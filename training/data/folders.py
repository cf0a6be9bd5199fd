# SPDX-License-Identifier: Apache-2.0
"""What the loaders of public data sets share: samples by index, and whether the set is there.

A loader checks all file names of its split when it is made, against one listing per folder, so a
half-downloaded set is refused at once and not after hours of training. Pixels are looked at when a
sample is read; a damaged file is refused by its name (`training.data.images`).

The parts of samples have the same names everywhere: `rgb` is the picture, `right` that of the
other camera of a stereo pair, `previous` and `next` its neighbors in time, `target_m` the ground
truth of depth, `label` class ids. What is read beside the picture is chosen by `views`.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path, PurePosixPath
from typing import TypeVar

from kd_perception.errors import ConfigError, DatasetError

T = TypeVar('T')

_MAX_LIST_BYTES = 2**26
_EXAMPLES = 5


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


class Frames(Sequence[T]):
    """Samples by index, 0 to length - 1; each is read when it is asked for."""

    def __getitem__(self, index: int) -> T:  # type: ignore[override]
        """Read a sample.

        Raises:
            DatasetError: a file is damaged, or its parts do not fit together.
            IndexError: there is no such sample.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'index must be 0 to {len(self) - 1}, got {index}')
        return self._read(index)

    @abstractmethod
    def _read(self, index: int) -> T:
        """A sample, whose index exists."""


def check_views(views: Iterable[str], offered: Sequence[str]) -> tuple[str, ...]:
    """The views that are to be read.

    Raises:
        ConfigError: one of them is not offered.
    """
    chosen = (views,) if isinstance(views, str) else tuple(views)
    if not set(chosen) <= set(offered):
        raise ConfigError(f'views must be of {tuple(offered)}, got {chosen}')
    return chosen


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
