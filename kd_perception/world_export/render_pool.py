# SPDX-License-Identifier: Apache-2.0
"""Work shared out to several processes, with the results in order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import cv2

from kd_perception.errors import KdPerceptionError
from kd_perception.machine import usable_cores

T = TypeVar('T')
R = TypeVar('R')

MAX_WORKERS = 64
_DEFAULT_WORKERS = 8
_AHEAD = 2  # tasks per process that may wait for us, which bounds the memory
_INTERRUPTS = {signal.SIGINT, signal.SIGHUP}


class RenderError(KdPerceptionError):
    """A rendering process died."""


def default_workers(task_count: int) -> int:
    """Return a process per usable core, at most 8, and not more than tasks; at least 1."""
    return max(1, min(usable_cores(), _DEFAULT_WORKERS, task_count))


@contextmanager
def in_order(work: Callable[[T], R], tasks: Sequence[T], *, workers: int) -> Iterator[Iterator[R]]:
    """Do tasks in several processes; give the results in the order of the tasks.

    A few tasks only are done ahead of the reader. At the end of the context the processes are
    gone, whatever happens; Ctrl-C in a terminal reaches this process alone.

    Args:
        work: Function at the top of a module, since new processes find it by its name.
        tasks: What it is called with; sent to the processes.
        workers: Processes, 1 to 64; 1 works in this process.

    Yields:
        The results.

    Raises:
        RenderError: While iterating, if a process was killed from outside.
    """
    if workers == 1:
        yield map(work, tasks)
        return
    context = multiprocessing.get_context('spawn')  # a forked copy of threads may hang
    pool = ProcessPoolExecutor(min(workers, MAX_WORKERS), context, _start_worker)
    try:
        yield _results(pool, work, tasks, _AHEAD * workers)
    finally:
        with interrupts_held_back():
            pool.shutdown(cancel_futures=True)


def _results(
    pool: ProcessPoolExecutor, work: Callable[[T], R], tasks: Sequence[T], ahead: int
) -> Iterator[R]:
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            with interrupts_held_back():  # new processes inherit this, and so never see them
                waiting.append(pool.submit(work, task))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RenderError(
            'A rendering process was killed, most often for want of memory. Use fewer --workers.'
        ) from error


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Deliver interrupts (Ctrl-C, a closed terminal) at the end of the context only.

    Processes that are started within never get them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # there are as many workers as cores
