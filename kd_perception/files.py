# SPDX-License-Identifier: Apache-2.0
"""Replacing folders so that one complete version is always there."""

from __future__ import annotations

import shutil
from pathlib import Path


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
