# SPDX-License-Identifier: Apache-2.0
"""The compiled loops of the postprocessing: maps to full size and to a prediction, by rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_COMPILE = {'nogil': True, 'fastmath': True, 'error_model': 'numpy'}  # no check per division


def compiled_loop(function: Callable[..., None], **changes: Any) -> Callable[..., None]:
    """Compile on first use; keep the code on disk where there is a place to keep it."""
    options = {**_COMPILE, **changes}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        compiled = numba.njit(**options)(function)
    return cast('Callable[..., None]', compiled)


LOG2_E = np.float32(1.4426950408889634)
LN_2 = np.float32(0.6931471805599453)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
_ZERO = np.float32(0.0)
SMALLEST = np.float32(-87.0)  # exp of less is not a normal float32
_ROOT_HALF_BITS = np.int32(0x3F3504F3)  # of sqrt(1/2): mantissas are taken from there to sqrt(2)


@compiled_loop
def reduce_logits(
    logits: Array,
    inverse_temperature: np.float32,
    rows: Array,
    row_shares: Array,
    columns: Array,
    column_shares: Array,
    mask: Array,
    confidence: Array,
    uncertainty: Array,
) -> None:
    """Fill mask, confidence and uncertainty row by row.

    Args:
        logits: [classes, h, w] float32.
        inverse_temperature: What logits are multiplied by.
        rows: Per image row, the logit row before its center, int32.
        row_shares: The share of the next one, float32.
        columns: As rows, per image column.
        column_shares: As row_shares.
        mask: uint8 [height, width], filled.
        confidence: uint8 [height, width], filled; [height, 0] leaves it and the uncertainty out.
        uncertainty: float32 of the same shape, filled.
    """
    width = columns.shape[0]
    classes, _, cells = logits.shape
    low = np.empty(cells + 1, np.float32)
    pair = np.empty((2, classes, width), np.float32)
    scores = np.empty((classes, width), np.float32)
    top = np.empty(width, np.float32)
    best = np.empty(width, np.int32)
    sums = np.empty((3, width), np.float32)
    exponent = np.empty(width, np.int32)
    above, upper = -2, 0
    for y in range(rows.shape[0]):
        above, upper = move_to(
            rows[y], above, upper, logits, inverse_temperature, columns, column_shares, low, pair
        )
        blend_rows(pair[upper], pair[1 - upper], row_shares[y], scores)
        _best_of_row(scores, top, best)
        if confidence.shape[1] > 0:
            _sum_up_row(scores, top, sums, exponent, confidence[y], uncertainty[y])
        for x in range(width):
            mask[y, x] = best[x]


@numba.njit(inline='always', **_COMPILE)
def move_to(
    row: int,
    above: int,
    upper: int,
    logits: Array,
    inverse_temperature: np.float32,
    columns: Array,
    column_shares: Array,
    low: Array,
    pair: Array,
) -> tuple[int, int]:
    """Stretch the two logit rows around an image row, once, and keep them until it leaves them.

    Returns:
        The logit row above the image row, and where in `pair` it is.
    """
    if row != above:
        if row == above + 1:
            upper = 1 - upper
        else:
            _stretch(logits[:, row], inverse_temperature, columns, column_shares, low, pair[upper])
        above = row
        below = logits[:, min(above + 1, logits.shape[1] - 1)]
        _stretch(below, inverse_temperature, columns, column_shares, low, pair[1 - upper])
    return above, upper


@numba.njit(inline='always', **_COMPILE)
def _stretch(
    row: Array,
    inverse_temperature: np.float32,
    columns: Array,
    column_shares: Array,
    low: Array,
    stretched: Array,
) -> None:
    """Interpolate one logit row of every class at the image columns."""
    classes, width = stretched.shape
    cells = row.shape[1]
    for c in range(classes):
        for x in range(cells):
            low[x] = row[c, x] * inverse_temperature
        low[cells] = low[cells - 1]
        for x in range(width):
            a = low[columns[x]]
            stretched[c, x] = a + column_shares[x] * (low[columns[x] + 1] - a)


@numba.njit(inline='always', **_COMPILE)
def blend_rows(upper: Array, lower: Array, share: np.float32, scores: Array) -> None:
    """Interpolate between two stretched rows."""
    for c in range(scores.shape[0]):
        for x in range(scores.shape[1]):
            scores[c, x] = upper[c, x] + share * (lower[c, x] - upper[c, x])


@numba.njit(inline='always', **_COMPILE)
def _best_of_row(scores: Array, top: Array, best: Array) -> None:
    """Largest score of every pixel of a row, and its class."""
    classes, width = scores.shape
    for x in range(width):
        top[x] = scores[0, x]
        best[x] = 0
    for c in range(1, classes):
        for x in range(width):
            better = scores[c, x] > top[x]
            top[x] = scores[c, x] if better else top[x]
            best[x] = c if better else best[x]


@numba.njit(inline='always', **_COMPILE)
def _sum_up_row(
    scores: Array, top: Array, sums: Array, exponent: Array, confidence: Array, uncertainty: Array
) -> None:
    """Confidence and uncertainty of a row; every loop is plain enough to be vectorized."""
    classes, width = scores.shape
    total, moment, power = sums[0], sums[1], sums[2]
    power_bits, total_bits = power.view(np.int32), total.view(np.int32)
    for x in range(width):
        total[x] = 0.0
        moment[x] = 0.0
    for c in range(classes):
        # exp(s) = 2^n * exp(s - n ln 2), with 2^n written straight into a float's exponent bits.
        for x in range(width):
            scores[c, x] = max(scores[c, x] - top[x], SMALLEST)
            exponent[x] = np.int32(scores[c, x] * LOG2_E - HALF)
            power_bits[x] = (exponent[x] + 127) << 23
        for x in range(width):
            shifted = scores[c, x]
            value = power[x] * exp_small(shifted - np.float32(exponent[x]) * LN_2)
            total[x] += value
            moment[x] += shifted * value
    inverse_log = ONE / np.log(np.float32(classes))
    for x in range(width):
        inverse = ONE / total[x]
        moment[x] *= inverse
        confidence[x] = np.uint8(np.float32(255.0) * inverse + HALF)
    for x in range(width):
        exponent[x] = (total_bits[x] - _ROOT_HALF_BITS) >> 23
        power_bits[x] = total_bits[x] - (exponent[x] << 23)
    for x in range(width):
        log_total = np.float32(exponent[x]) * LN_2 + _log_small(power[x])
        uncertainty[x] = min(max((log_total - moment[x]) * inverse_log, _ZERO), ONE)


@numba.njit(inline='always', **_COMPILE)
def exp_small(x: np.float32) -> np.float32:
    """exp(x) for |x| <= ln(2) / 2 by its Taylor series; the relative error is below 3e-7."""
    r = np.float32(1.0 / 720.0)
    r = r * x + np.float32(1.0 / 120.0)
    r = r * x + np.float32(1.0 / 24.0)
    r = r * x + np.float32(1.0 / 6.0)
    r = r * x + HALF
    r = r * x + ONE
    return r * x + ONE


@numba.njit(inline='always', **_COMPILE)
def _log_small(x: np.float32) -> np.float32:
    """log(x) for x from sqrt(1/2) to sqrt(2), by 2 artanh; the error is below 1e-7."""
    s = (x - ONE) / (x + ONE)
    q = s * s
    r = np.float32(2.0 / 7.0)
    r = r * q + np.float32(2.0 / 5.0)
    r = r * q + np.float32(2.0 / 3.0)
    return s * (r * q + np.float32(2.0))
