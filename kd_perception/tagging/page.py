# SPDX-License-Identifier: Apache-2.0
"""The page on which frames are tagged: one file beside their pictures, no server, no network."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from kd_perception.files import write_atomically
from kd_perception.tagging.extraction import THUMBNAILS
from kd_perception.tagging.tag_table import TagTable

_TEMPLATES = Path(__file__).parent / 'templates'


def write_page(path: Path, table: TagTable, *, title: str) -> None:
    """Write the page.

    Args:
        path: HTML file, in the folder of the pictures.
        table: What is known yet; the page starts from it.
        title: Of the page.

    Raises:
        OSError: It cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template('tags.html.j2').render(
        title=title,
        thumbnails=THUMBNAILS,
        data=embedded({'classes': table.classes, 'rows': table.rows}),
        script=Markup((_TEMPLATES / 'tags.js').read_text(encoding='utf-8')),
    )
    write_atomically(path, lambda file: file.write(page.encode()))


def embedded(document: object) -> Markup:
    """JSON that can stand in a script element."""
    return Markup(json.dumps(document).replace('<', '\\u003c'))
