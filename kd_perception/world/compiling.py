# SPDX-License-Identifier: Apache-2.0
"""How the world's inner loops are compiled: once per machine and version, with NumPy's arithmetic.

Numba's cache looks at the file of a function alone. Ours are made of functions of many files, so
what is compiled is kept in a folder named by the sources of the whole world: an edit or an upgrade
of any of them never meets code of another version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

Function = TypeVar('Function', bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that is called from Python."""
    return _compile(function)


def inlined(function: Function) -> Function:
    """Compile a function that compiled code calls per pixel.

    Passing a table to a function costs more than what most of them do with it, so it becomes part
    of its caller.
    """
    return _compile(function, forceinline=True)


def _compile(function: Function, **options: bool) -> Function:
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


_FOLDER = f'world-{_sources_digest()}'


@contextmanager
def _own_cache() -> Iterator[None]:
    """Let numba keep what is declared meanwhile in our folder, under the user's one if set."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(Path(before or Path(__file__).parent / '__pycache__') / _FOLDER)
    try:
        yield
    finally:
        config.CACHE_DIR = before
