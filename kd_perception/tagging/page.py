# SPDX-License-Identifier: Apache-2.0
"""The page on which frames are tagged: one file beside their pictures, no server, no network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from kd_perception.files import write_atomically
from kd_perception.tagging.frame_names import by_place, grid_size, image_of, place_of
from kd_perception.tagging.tag_files import THUMBNAILS
from kd_perception.tagging.tag_table import TagTable

_TEMPLATES = Path(__file__).parent / 'templates'


def write_page(path: Path, table: TagTable, *, title: str) -> None:
    """Write the page.

    Args:
        path: HTML file, in the folder of the pictures.
        table: What is known yet; the page starts from it.
        title: Of the page.

    Raises:
        DatasetError: Some images are cut into tiles and others are not.
        OSError: It cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = page_data(table)
    page = environment.get_template('tags.html.j2').render(
        title=title,
        thumbnails=THUMBNAILS,
        data=embedded(data),
        cut=data['grid'] != (1, 1),
        script=Markup((_TEMPLATES / 'tags.js').read_text(encoding='utf-8')),
    )
    write_atomically(path, lambda file: file.write(page.encode()))


def page_data(table: TagTable) -> dict[str, Any]:
    """What the page starts from.

    Returns:
        `classes`; `grid`, rows and columns of tiles; `digest` of the table, by which the browser
        tells what it remembers of this table from what it remembers of others; and `frames` in
        the order of tagging, each with its `name`, `image`, `place` and `tags`. Tiles of one place
        follow each other: from one image to the next little changes there.
    """
    frames = [
        {
            'name': name,
            'image': image_of(name),
            'place': place_of(name) or (0, 0),
            'tags': table.rows[name],
        }
        for name in sorted(table.rows, key=by_place)
    ]
    return {
        'classes': table.classes,
        'grid': grid_size(table.rows),
        'digest': hashlib.sha256(table.text().encode()).hexdigest()[:16],
        'frames': frames,
    }


def embedded(document: object) -> Markup:
    """JSON that can stand in a script element."""
    return Markup(json.dumps(document).replace('<', '\\u003c'))
