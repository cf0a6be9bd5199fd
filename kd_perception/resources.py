# SPDX-License-Identifier: Apache-2.0
"""Where the shipped files (launch, config, students) lie: ament, pip or source checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kd_perception.errors import BundleError

_SHARE = Path('share') / 'kd_perception'


def share_directory() -> Path:
    """Find the folder that holds ``launch``, ``config`` and ``students``.

    Returns:
        The source checkout when the package runs from one, else the first of the ament prefixes of
        ``AMENT_PREFIX_PATH`` and the interpreter's prefix that has the package's share folder.

    Raises:
        BundleError: None of them exists.
    """
    checkout = Path(__file__).resolve().parent.parent
    prefixes = [Path(prefix) for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(':')]
    candidates = [prefix / _SHARE for prefix in [*prefixes, Path(sys.prefix)] if prefix.parts]
    for folder in [checkout, *candidates]:
        if (folder / 'students').is_dir():
            return folder
    raise BundleError(
        'the shipped students must be installed; looked for a folder students/ in '
        f'{", ".join(str(folder) for folder in [checkout, *candidates])}: reinstall kd_perception'
    )


def student_folder(name_or_path: str) -> Path:
    """Resolve a student by the name of a shipped one or by the path of any bundle folder.

    Args:
        name_or_path: ``thermal_seg_s``, or a path such as ``/opt/students/mine``.

    Raises:
        BundleError: The name is empty or neither a shipped student nor a folder.
    """
    if not name_or_path:
        raise BundleError(
            f'a student must be named; received an empty name: set model.path, {_remedy()}'
        )
    path = Path(name_or_path).expanduser()
    if path.name == name_or_path:
        shipped = share_directory() / 'students' / name_or_path
        if shipped.is_dir():
            return shipped
    if path.is_dir():
        return path
    raise BundleError(
        f'a student must be the name of a shipped one or a bundle folder; received '
        f'{name_or_path!r}: check model.path, {_remedy()}'
    )


def _remedy() -> str:
    folder = share_directory() / 'students'
    shipped = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return (
        f'shipped are {", ".join(shipped)}; `python -m training.export --help` says how to make a '
        'bundle of a training'
    )
