# SPDX-License-Identifier: Apache-2.0
"""How the world's inner loops are compiled: once per machine, cached, with NumPy's arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

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
        made = njit(cache=True, error_model='numpy', **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        made = njit(error_model='numpy', **options)(function)
    return cast(Function, made)
