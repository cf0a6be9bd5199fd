# SPDX-License-Identifier: Apache-2.0
"""The compiled loop of depth: logarithmic maps to full size, exponential and range, by rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from kd_perception.reduction import (
    HALF,
    LN_2,
    LOG2_E,
    ONE,
    SMALLEST,
    blend_rows,
    compiled_loop,
    exp_small,
    move_to,
)

Array = npt.NDArray[Any]

RELATIVE_ERROR = np.float32(0.1)
"""The confidence is the probability that the error of a depth is a smaller share of it."""

# NaN and infinity are results here: the compiler must not assume that there are none.
_MATH = {'reassoc', 'contract', 'arcp', 'nsz', 'afn'}
_COMPILE = {'nogil': True, 'fastmath': _MATH, 'error_model': 'numpy'}
_LARGEST = np.float32(88.0)  # exp of more is not a float32
_ROOT_2 = np.float32(1.4142135623730951)
_TOO_FAR = np.float32(np.inf)
_TOO_NEAR = np.float32(-np.inf)
_UNKNOWN = np.float32(np.nan)


@partial(compiled_loop, fastmath=_MATH)
def reduce_depth(
    maps: Array,
    limits: Array,
    rows: Array,
    row_shares: Array,
    columns: Array,
    column_shares: Array,
    depth: Array,
    sigma: Array,
    confidence: Array,
) -> None:
    """Fill depth, its standard deviation and its confidence row by row.

    Args:
        maps: [2, h, w] float32: logarithms of depth, and of the scale of its Laplace distribution
            as a share of the depth.
        limits: float32: smallest and largest depth, largest share of the standard deviation, and
            what the share is multiplied by for the confidence.
        rows: Per image row, the map's row before its center, int32.
        row_shares: The share of the next one, float32.
        columns: As rows, per image column.
        column_shares: As row_shares.
        depth: float32 [height, width], filled: infinite beyond the largest, minus infinity below
            the smallest, NaN where the standard deviation is too large a share.
        sigma: float32 of the same shape, filled: the standard deviation; NaN where the depth is
            not finite; [height, 0] leaves it out.
        confidence: uint8, likewise: 255 times the probability of a relative error below 10 %;
            0 where the depth is not finite.
    """
    width = columns.shape[0]
    low = np.empty(maps.shape[2] + 1, np.float32)
    pair = np.empty((2, 2, width), np.float32)
    values = np.empty((2, width), np.float32)
    spread = np.empty(width, np.float32)
    power = np.empty(width, np.float32)
    exponent = np.empty(width, np.int32)
    above, upper = -2, 0
    for y in range(rows.shape[0]):
        above, upper = move_to(rows[y], above, upper, maps, ONE, columns, column_shares, low, pair)
        blend_rows(pair[upper], pair[1 - upper], row_shares[y], values)
        _exponential(values[0], power, exponent)
        _exponential(values[1], power, exponent)
        for x in range(width):
            value, share = values[0, x], _ROOT_2 * values[1, x]
            spread[x] = value * share
            value = _TOO_FAR if value > limits[1] else value
            value = _TOO_NEAR if value < limits[0] else value
            depth[y, x] = _UNKNOWN if share > limits[2] else value
        if sigma.shape[1] > 0:
            for x in range(width):
                sigma[y, x] = spread[x] if np.isfinite(depth[y, x]) else _UNKNOWN
        if confidence.shape[1] > 0:
            _confidence_of_row(values[1], limits[3], power, exponent, depth[y], confidence[y])


@numba.njit(inline='always', **_COMPILE)
def _exponential(values: Array, power: Array, exponent: Array) -> None:
    """Exponential of a row in place: 2^n * exp(v - n ln 2), with 2^n written into the bits."""
    bits = power.view(np.int32)
    for x in range(values.shape[0]):
        values[x] = min(max(values[x], SMALLEST), _LARGEST)
        exponent[x] = np.int32(np.floor(values[x] * LOG2_E + HALF))
        bits[x] = (exponent[x] + 127) << 23
    for x in range(values.shape[0]):
        values[x] = power[x] * exp_small(values[x] - np.float32(exponent[x]) * LN_2)


@numba.njit(inline='always', **_COMPILE)
def _confidence_of_row(
    shares: Array,
    factor: Any,
    power: Array,
    exponent: Array,
    depth: Array,
    confidence: Array,
) -> None:
    """255 * (1 - exp(-0.1 / (factor * share))), the probability of a Laplace distribution."""
    for x in range(shares.shape[0]):
        shares[x] = -RELATIVE_ERROR / (factor * shares[x])
    _exponential(shares, power, exponent)
    for x in range(shares.shape[0]):
        known = np.uint8(np.float32(255.0) * (ONE - shares[x]) + HALF)
        confidence[x] = known if np.isfinite(depth[x]) else np.uint8(0)
