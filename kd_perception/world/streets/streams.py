# SPDX-License-Identifier: Apache-2.0
"""Random streams of what changes from frame to frame."""

from __future__ import annotations

import zlib

import numpy as np


def noise_stream(key: tuple[int, ...], name: str, time_s: float) -> np.random.Generator:
    """The stream of one kind of noise at a time, independent of all others.

    Args:
        key: of the drive or the single frame.
        name: of the kind.
        time_s: told apart to the microsecond.
    """
    ticks = round(float(time_s) * 1e6)
    return np.random.default_rng([*key, zlib.crc32(name.encode()), abs(ticks), int(ticks < 0)])
