# SPDX-License-Identifier: Apache-2.0
"""How the world's inner loops are compiled: once per machine and version, with NumPy's arithmetic.

Numba's cache looks at the file of a function alone. Ours are made of functions of many files, so
what is compiled is kept in a folder named by the sources of the whole world: an edit or an upgrade
of any of them never meets code of another version. Folders of other versions go when nobody has
used them for two weeks.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

Function = TypeVar('Function', bound=Callable[..., Any])


# Counting references to the arrays of a table takes longer than what is done with a pixel, so the
# code of pixels does without; it must not make arrays.
_UNCOUNTED: dict[str, Any] = {'_nrt': False, 'fastmath': {'contract', 'arcp', 'nsz'}}


def compiled(function: Function) -> Function:
    """Compile a function that is called from Python."""
    return _compile(function, {})


def kernel(function: Function) -> Function:
    """Compile a loop over pixels, called from Python; it must not make arrays."""
    return _compile(function, _UNCOUNTED)


def inlined(function: Function) -> Function:
    """Compile what a kernel does with a pixel; it becomes part of the kernel."""
    return _compile(function, {'forceinline': True, **_UNCOUNTED})


def _compile(function: Function, options: dict[str, Any]) -> Function:
    try:
        with _own_cache():
            made = njit(cache=True, error_model='numpy', **options)(function)
    except RuntimeError:  # no folder can be written, neither ours nor the user's
        made = njit(error_model='numpy', **options)(function)
    return cast(Function, made)


def _sources_digest() -> str:
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """Where the user wants it, else beside the sources, else in the user's cache."""
    beside = Path(__file__).parent / '__pycache__'
    if config.CACHE_DIR:
        root = Path(config.CACHE_DIR)
    elif os.access(beside if beside.is_dir() else beside.parent, os.W_OK):
        root = beside
    else:
        root = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'kd_perception'
    return root / f'world-{_sources_digest()}'


def _forget_others(ours: Path) -> None:
    """Mark our folder as used; remove those of other versions that are not used any more.

    What cannot be read, written or found is left: another process may do the same.
    """
    with suppress(OSError):
        os.utime(ours)
    oldest = time.time() - _KEPT_DAYS * 86_400.0
    with suppress(OSError):
        for folder in ours.parent.iterdir():
            if folder != ours and _VERSION.fullmatch(folder.name):
                with suppress(OSError):
                    if folder.stat().st_mtime < oldest:
                        shutil.rmtree(folder, ignore_errors=True)


_KEPT_DAYS = 14.0
_VERSION = re.compile('world-[0-9a-f]{16}')
_FOLDER = str(_cache_folder())
_forget_others(Path(_FOLDER))


@contextmanager
def _own_cache() -> Iterator[None]:
    """Let numba keep in our folder what is declared meanwhile."""
    before = config.CACHE_DIR
    config.CACHE_DIR = _FOLDER
    try:
        yield
    finally:
        config.CACHE_DIR = before
