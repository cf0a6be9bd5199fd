# SPDX-License-Identifier: Apache-2.0
"""What this computer can do, as far as the choice of backend and precision depends on it."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

_FLAGS = (
    'avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8',
    'asimd', 'asimddp', 'asimdhp', 'bf16', 'i8mm', 'sve',
)  # fmt: skip


@lru_cache(maxsize=1)
def cpu_flags() -> tuple[str, ...]:
    """Instruction set extensions that matter to a network, as /proc/cpuinfo names them."""
    try:
        text = Path('/proc/cpuinfo').read_text(errors='replace')
    except OSError:
        return ()
    lines = [line for line in text.splitlines() if line.lower().startswith(('flags', 'features'))]
    present = set(lines[0].partition(':')[2].split()) if lines else set()
    return tuple(flag for flag in _FLAGS if flag in present)


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_matrix_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 matrices in hardware.

    AVX-512 BF16 alone is not enough: without AMX, networks ran slower in bf16 than in fp32.
    """
    return 'amx_bf16' in cpu_flags()


def describe() -> str:
    """Give one line: system, architecture, cores and instruction set extensions."""
    flags = ' '.join(cpu_flags()) or 'no known extension'
    return f'{platform.system()} {platform.machine()}, {usable_cores()} cores, {flags}'
