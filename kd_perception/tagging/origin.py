# SPDX-License-Identifier: Apache-2.0
"""Where tagged images come from, as `source.json` beside them says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kd_perception.errors import DatasetError
from kd_perception.files import write_atomically

SOURCE_FILE = 'source.json'
SYNTHETIC, UNKNOWN = 'synthetic', 'recording, origin not known'

_WORLD_FILE = 'world.json'  # `kd-perception world` writes it beside what it renders


def add_source(folder: Path, bag: Path, topic: str) -> None:
    """Add a recording to those that the images of a folder come from.

    Args:
        folder: Of the tagged images.
        bag: Recording; it is synthetic if the `world.json` beside it says so.
        topic: Of the images.

    Raises:
        DatasetError: The file in the folder is damaged.
        OSError: It cannot be written.
    """
    entry = {'recording': bag.name, 'topic': topic, 'synthetic': _is_synthetic(bag)}
    known = [other for other in _sources(folder) if other != entry]
    text = json.dumps({'recordings': [*known, entry]}, indent=2) + '\n'
    write_atomically(folder / SOURCE_FILE, lambda file: file.write(text.encode()))


def origin_of(folder: Path) -> str:
    """`synthetic` if all recordings are, else that the origin is not known.

    Raises:
        DatasetError: The file is damaged.
    """
    sources = _sources(folder)
    rendered = bool(sources) and all(source['synthetic'] is True for source in sources)
    return SYNTHETIC if rendered else UNKNOWN


def _is_synthetic(bag: Path) -> bool:
    path = (bag if bag.is_dir() else bag.parent) / _WORLD_FILE
    try:
        return json.loads(path.read_text(encoding='utf-8'))['synthetic'] is True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sources(folder: Path) -> list[dict[str, Any]]:
    path = folder / SOURCE_FILE
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding='utf-8'))['recordings']
        return [{key: one[key] for key in ('recording', 'topic', 'synthetic')} for one in found]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f'{path} must say where the images come from, as `kd-perception tag` writes it: '
            f'{error!r}'
        ) from error
