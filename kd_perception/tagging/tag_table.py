# SPDX-License-Identifier: Apache-2.0
"""Tags of images as a table that a page, a spreadsheet and a program can write.

    frame,looked_at,car,person
    t1700000000000000000,1,1,0
    t1700000001000000000,1,0,0
    t1700000002000000000,,,

1 or x is yes, 0 or nothing is no. Semicolons or tabs may stand in place of the commas, as some
spreadsheets write them. A frame counts as tagged if somebody has looked at it, or if any class is
there. One that nobody has looked at says nothing, unlike one in which nothing is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.files import write_atomically

FRAME, LOOKED_AT = 'frame', 'looked_at'

_MAX_BYTES = 2**26
_MAX_CLASSES = 64
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9 _-]{0,49}')
_FRAME_NAME = re.compile(r'[A-Za-z0-9_-]{1,80}')
_ROUNDED = re.compile(r'[0-9]+([.,][0-9]+)?[Ee][+]?[0-9]+')
_DELIMITERS = ',;\t'
_RESERVED = ('background', 'unlabeled', FRAME, LOOKED_AT)
_WORDS = {'1': True, 'x': True, 'X': True, '0': False, '': False}

Tags = tuple[bool, ...]


@dataclass
class TagTable:
    """Which classes are in which frames.

    Args:
        classes: names in the order of the tags.
        rows: tags by the name of the frame; None where nobody has looked yet.

    Raises:
        ConfigError: the names are not distinct or not plain.
    """

    classes: tuple[str, ...]
    rows: dict[str, Tags | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names."""
        self.classes = check_classes(self.classes)

    def tagged(self) -> dict[str, Tags]:
        """The frames that somebody has looked at."""
        return {name: tags for name, tags in self.rows.items() if tags is not None}

    def merged(self, names: Sequence[str], older: TagTable) -> TagTable:
        """Tags for these frames: those of this table, else of an older one, by class name.

        Classes that the older one did not have are not there in its frames: `changed_classes` says
        so in words.
        """
        rows = {}
        for name in names:
            known = self.rows.get(name)
            before = older.rows.get(name)
            if known is None and before is not None:
                seen = {c for c, there in zip(older.classes, before, strict=True) if there}
                known = tuple(c in seen for c in self.classes)
            rows[name] = known
        return TagTable(self.classes, rows)

    def text(self) -> str:
        """The table as CSV."""
        lines = [','.join((FRAME, LOOKED_AT, *self.classes))]
        for name, tags in self.rows.items():
            cells = [''] * (1 + len(self.classes))
            if tags is not None:
                cells = ['1', *(str(int(there)) for there in tags)]
            lines.append(','.join((name, *cells)))
        return '\n'.join(lines) + '\n'

    def write(self, path: Path) -> None:
        """Replace the file of the table.

        Raises:
            OSError: It cannot be written.
        """
        write_atomically(path, lambda file: file.write(self.text().encode()))


def changed_classes(older: TagTable, newer: TagTable) -> list[str]:
    """What becomes of earlier tags where the classes have changed, in words.

    Args:
        older: as it was.
        newer: `merged` with it.

    Returns:
        A sentence about the classes that are new and one about those that are gone, each only
        where it matters to a frame that was tagged before.
    """
    before, sentences = older.tagged(), []
    kept = sum(name in newer.rows for name in before)
    added = [name for name in newer.classes if name not in older.classes]
    if added and kept:
        sentences.append(
            f'{kept} frames were tagged before {", ".join(added)} came: they count as frames '
            'without. Look at them again, or tag into another folder'
        )
    gone = [
        name
        for k, name in enumerate(older.classes)
        if name not in newer.classes and any(tags[k] for tags in before.values())
    ]
    if gone:
        sentences.append(f'tags of {", ".join(gone)} are left out of the table')
    return sentences


def check_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes that can be tagged.

    Raises:
        ConfigError: None or too many, one twice, a reserved one, or one with other signs than
            letters, digits, blanks, - and _.
    """
    plain = all(_NAME.fullmatch(name) and name.lower() not in _RESERVED for name in names)
    if not (plain and 1 <= len(names) <= _MAX_CLASSES and len(set(names)) == len(names)):
        raise ConfigError(
            f'classes must be 1 to {_MAX_CLASSES} distinct names of letters, digits, blanks, - '
            f'and _, other than {", ".join(_RESERVED)}; received {list(names)[:8]}'
        )
    return tuple(names)


def read_tag_table(path: Path) -> TagTable:
    """Read a file of tags.

    Raises:
        DatasetError: The file is missing, too large, or no such table; says in which line.
    """
    if not path.is_file():
        raise DatasetError(
            f'{path} must exist: make it with `kd-perception tag BAG --out {path.parent}`'
        )
    if path.stat().st_size > _MAX_BYTES:
        raise DatasetError(f'tags may have {_MAX_BYTES} bytes at most: {path}')
    try:
        text = path.read_text(encoding='utf-8-sig')
        reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
        return _table([[cell.strip() for cell in line] for line in reader])
    except (UnicodeDecodeError, csv.Error, ConfigError) as error:
        raise DatasetError(f'{path} must be a table of tags: {error}') from error


def _delimiter(text: str) -> str:
    """What separates the cells of the first line; a comma where nothing does."""
    first = text.partition('\n')[0]
    return max(_DELIMITERS, key=first.count)


def _table(lines: list[list[str]]) -> TagTable:
    head = _trimmed(lines[0], 0) if lines else []
    if head[:2] != [FRAME, LOOKED_AT]:
        raise ConfigError(f'its first line must begin with {FRAME},{LOOKED_AT}, it is {head[:4]}')
    table = TagTable(tuple(head[2:]))
    for number, line in enumerate(lines[1:], start=2):
        if any(line):
            name, *cells = _trimmed(line, len(head))
            _check_name(name, number, table)
            looked_at, *tags = _answers(cells, number, head[1:])
            table.rows[name] = tuple(tags) if looked_at or any(tags) else None
    return table


def _trimmed(line: list[str], least: int) -> list[str]:
    """Cells without the empty ones that spreadsheets put after the last column."""
    last = max((k for k, cell in enumerate(line, start=1) if cell), default=0)
    return line[: max(last, least)]


def _check_name(name: str, number: int, table: TagTable) -> None:
    if _ROUNDED.fullmatch(name):
        raise ConfigError(
            f'line {number} names the frame {name}: a spreadsheet took its name for a number and '
            'rounded it. Take the table from before, and import the column of frames as text'
        )
    if not _FRAME_NAME.fullmatch(name):
        raise ConfigError(
            f'line {number} must name a frame by letters, digits, - and _; it is {name!r}'
        )
    if name in table.rows:
        raise ConfigError(f'line {number} must name another frame, {name} came before')


def _answers(cells: list[str], number: int, columns: list[str]) -> list[bool]:
    """Cells as yes and no."""
    if len(cells) != len(columns):
        raise ConfigError(
            f'line {number} must have {len(columns)} cells of 1, x, 0 or nothing after its name, '
            f'it has {len(cells)}'
        )
    for cell, column in zip(cells, columns, strict=True):
        if cell not in _WORDS:
            raise ConfigError(
                f'line {number} must say 1, x, 0 or nothing of {column}, it says {cell!r}'
            )
    return [_WORDS[cell] for cell in cells]
