# SPDX-License-Identifier: Apache-2.0
"""A folder that appears at its place only when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kd_perception.errors import DatasetError
from kd_perception.files import replace_folder
from kd_perception.world_export.render_pool import interrupts_held_back

MARK = 'world.json'
"""The file that every export holds; a folder without it is never replaced."""


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse to write where something else is.

    Args:
        target: Folder to make.
        overwrite: An older export may be replaced.

    Raises:
        DatasetError: The path is taken, or by something that is no export.
    """
    if not target.exists():
        return
    if not overwrite:
        raise DatasetError(
            f'{target} exists already. Give another path, or replace it with --overwrite.'
        )
    if not (target / MARK).is_file():
        raise DatasetError(
            f'{target} has no {MARK}, so it is no export of this command and will not be '
            'replaced. Give another path.'
        )


@contextmanager
def staged_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a path beside the target to fill; it becomes the target on a clean exit.

    After an exception or an interrupt nothing is left of it, and what was at the target still is.
    What a killed process leaves is hidden and ends in `.partial`.

    Args:
        target: Folder to make.
        overwrite: Replace an older export.

    Yields:
        Path with the target's name that does not exist yet.

    Raises:
        DatasetError: As `check_target`.
    """
    check_target(target, overwrite=overwrite)
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp('.partial', f'.{target.name}.', target.parent))
    try:
        yield hidden / target.name
        replace_folder(hidden / target.name, target)
    finally:
        with interrupts_held_back():  # a second Ctrl-C does not stop the cleaning up
            shutil.rmtree(hidden, ignore_errors=True)
