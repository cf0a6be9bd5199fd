# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at most, measured: matrix products and memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_MEASURE_S = 0.5
_DRAM_BYTES, _CACHE_BYTES = 64 * 2**20, 2**18
_DRIFT = 0.2


class Peaks(NamedTuple):
    """Measured limits.

    Attributes:
        gops: 10^9 operations per second of a matrix product, by number format; a product of two
            numbers and its sum are two operations. Formats that could not be measured are absent.
        dram_gb_s: memory traffic of adding arrays too large for a cache [10^9 bytes per second].
        cache_gb_s: the same of small arrays.
    """

    gops: dict[str, float]
    dram_gb_s: float
    cache_gb_s: float


def measure_peaks(threads: int) -> Peaks:
    """Measure, in a few seconds; without torch only fp32, by NumPy."""
    gops = {
        name: operations / _best_s(product) * 1e-9
        for name, (product, operations) in _matrix_products(threads).items()
    }
    return Peaks(gops, _bandwidth(_DRAM_BYTES, threads), _bandwidth(_CACHE_BYTES, threads))


def drift(before: Peaks, after: Peaks) -> list[str]:
    """Name the limits that changed by more than a fifth: the machine was not left alone."""
    pairs = {name: (before.gops[name], after.gops[name]) for name in before.gops}
    pairs['memory'] = (before.dram_gb_s, after.dram_gb_s)
    return [name for name, (a, b) in pairs.items() if abs(b - a) > _DRIFT * max(a, b)]


def _matrix_products(threads: int) -> dict[str, tuple[Callable[[], object], int]]:
    if importlib.util.find_spec('torch') and importlib.util.find_spec('safetensors'):
        from kd_perception.bench.torch_parts import matrix_products

        return matrix_products(threads)
    a, b = np.random.default_rng(0).normal(size=(2, 1024, 1024)).astype(np.float32)
    return {'fp32': (lambda: a @ b, 2 * 1024**3)}


def _bandwidth(size: int, threads: int) -> float:
    """Bytes per second [10^9] of c = a + b, each thread with three arrays of a size in bytes."""
    arrays = np.ones((threads, 3, size // 4), np.float32)
    turns = max(1, _DRAM_BYTES // size)

    def add(own: npt.NDArray[np.float32]) -> None:
        a, b, c = own
        for _ in range(turns):
            np.add(a, b, out=c)

    with ThreadPoolExecutor(threads) as pool:
        seconds = _best_s(lambda: list(pool.map(add, arrays)))
    return 3 * size * threads * turns / seconds * 1e-9


def _best_s(function: Callable[[], object]) -> float:
    """The shortest of the runs within half a second: cores need a moment to get up to speed."""
    seconds: list[float] = []
    end = perf_counter() + _MEASURE_S
    while not seconds or perf_counter() < end:
        start = perf_counter()
        function()
        seconds.append(perf_counter() - start)
    return min(seconds)
