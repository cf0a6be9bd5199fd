# SPDX-License-Identifier: Apache-2.0
"""Replacing files and folders so that one complete version is always there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_MODE = 0o644


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears at its place only when it is complete and on the disk.

    An exception leaves what was there, and nothing else. A process that is killed may leave a file
    beside it: `unfinished_files` finds it.

    Args:
        path: Where the file belongs, in a folder that exists. An older one there is replaced.
        write: Called with the open file.

    Raises:
        OSError: The file cannot be written or moved.
    """
    handle, name = tempfile.mkstemp(_UNFINISHED, f'{path.name}.', path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            write(file)
            file.flush()
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


_UNFINISHED = '.tmp'


def unfinished_files(path: Path) -> list[Path]:
    """Files that `write_atomically` began for a path: being written, or left by a killed process.

    Args:
        path: As `write_atomically` was given it.
    """
    parts = (p for p in path.parent.glob('*' + _UNFINISHED) if p.name.startswith(f'{path.name}.'))
    return sorted(parts)


def replace_folder(staged: Path, target: Path) -> None:
    """Move a complete folder to its place; an older one there goes, but only after.

    Args:
        staged: The new folder, on the same file system.
        target: Where it belongs. If the move fails or is interrupted, what was there is there
            again.

    Raises:
        OSError: The folder cannot be moved.
    """
    retired = staged.with_name(staged.name + '.retired')
    try:
        if target.exists():
            target.rename(retired)
        staged.rename(target)
    except BaseException:
        if retired.exists() and not target.exists():
            retired.rename(target)
        raise
    shutil.rmtree(retired, ignore_errors=True)
