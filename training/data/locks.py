# SPDX-License-Identifier: Apache-2.0
"""Locks between processes that share a cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from pathlib import Path


@contextmanager
def locked(path: Path, place: int, *, wait: bool) -> Iterator[bool]:
    """Hold one byte of a lock file, so that a lock ends when its process does, however it ends.

    Such a lock keeps other processes out, but no other thread of this process.

    Args:
        path: of the lock file, in a folder that exists.
        place: the byte.
        wait: until it is free; else it is given as False when it is not.
    """
    with open(path, 'ab') as file:
        try:
            lockf(file, LOCK_EX if wait else LOCK_EX | LOCK_NB, 1, place)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            lockf(file, LOCK_UN, 1, place)
