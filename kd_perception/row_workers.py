# SPDX-License-Identifier: Apache-2.0
"""Threads that share the rows of an image."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


class RowWorkers:
    """Runs work on parts of an image at the same time, for work that releases Python's lock.

    The threads sleep between images, so that they take nothing from those of a network.

    Args:
        threads: Parts at a time, at least 1; the calling thread does one of them.
    """

    def __init__(self, threads: int) -> None:
        self.threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self.threads - 1, 'rows') if threads > 1 else None

    def run(self, rows: int, work: Callable[[slice], object]) -> None:
        """Do the work for all rows, and return when it is done.

        Args:
            rows: How many there are.
            work: Called with slices of rows that do not overlap and together are all.

        Raises:
            Exception: What the work raised.
        """
        ends = [rows * part // self.threads for part in range(self.threads + 1)]
        parts = [slice(a, b) for a, b in pairwise(ends) if b > a]
        if self._pool is None or len(parts) < 2:
            work(slice(0, rows))
            return
        others = [self._pool.submit(work, part) for part in parts[1:]]
        try:
            work(parts[0])
        finally:
            for other in others:
                other.exception()  # none may still write when the caller goes on
        for other in others:
            other.result()


ONE_THREAD = RowWorkers(1)
