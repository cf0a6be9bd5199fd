# SPDX-License-Identifier: Apache-2.0
"""Fair timing: stacks in turn, in bursts whose first frame does not count."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.bench.stacks import Stack, StageTimes
from kd_perception.frames import Image

_BURST = 6


class Spread(NamedTuple):
    """Times of one stage [ms]."""

    median: float
    min: float
    p90: float
    p99: float
    max: float


def spread(times_ms: npt.NDArray[np.float64]) -> Spread:
    """Sum up times; p99 of fewer than a hundred is close to their maximum."""
    low, median, p90, p99, high = np.percentile(times_ms, (0, 50, 90, 99, 100)).tolist()
    return Spread(median, low, p90, p99, high)


def round_robin(
    stacks: Sequence[Stack],
    images: Sequence[Image],
    rounds: int,
    on_round: Callable[[], object] = lambda: None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Time stacks in turn, so that whatever disturbs the machine meets all of them.

    A turn is a burst of frames. Its first is not counted: caches still hold what the stack before
    left there, and threads of another runtime may still be spinning. Who begins changes from
    round to round.

    Args:
        stacks: What is compared.
        images: Frames, taken in turn.
        rounds: Turns of each stack.
        on_round: Called after each round.

    Returns:
        By name, times [frames, stages of `StageTimes`] in ms.
    """
    times: dict[str, list[StageTimes]] = {stack.name: [] for stack in stacks}
    for number in range(rounds):
        first = number % len(stacks)
        for stack in (*stacks[first:], *stacks[:first]):
            for frame in range(_BURST):
                answer = stack.answer(images[(number + frame) % len(images)])
                if frame:
                    times[stack.name].append(answer.times)
        on_round()
    return {name: np.array(rows) for name, rows in times.items()}


@contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """Let processes of the same priority compute for nothing meanwhile."""
    context = multiprocessing.get_context('spawn')
    started = [context.Process(target=_compute, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.join()


def _compute() -> None:
    block = np.ones((256, 256), np.float32)
    while True:
        block = np.sqrt(block + 1.0)
