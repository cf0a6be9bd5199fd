# SPDX-License-Identifier: Apache-2.0
"""Whether the uncertain pixels are the wrong ones: sparsification curve, AUSE and AURG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.accumulator import Accumulator
from kd_perception.metrics.calibration import require_flags

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Curve = Floats

STEPS = 50
_REMOVED = np.linspace(0.0, 1.0, STEPS + 1)

# A non-negative float32 sorts like its bits. Bins of equal leading 16 bits (sign, exponent, 7 bits
# of the fraction) are less than 1 % wide relative to their value, so the order survives near 0,
# where a sure student puts most pixels.
_SHIFT = np.uint32(16)
_BINS = int(np.float32(1.0).view(np.uint32) >> _SHIFT) + 1


@dataclass(frozen=True)
class SparsificationMetrics:
    """Error of the pixels that are left when the most uncertain ones are taken away.

    The error is the share of wrong pixels for masks, and one of three depth errors for depth.

    Attributes:
        removed: Shares taken away, 0 to 1, in ``STEPS`` steps.
        curve: Error of the rest, most uncertain removed first; the last point is 0.
        oracle: The same when the most wrong pixels are removed first.
        error_rate: Error of all pixels.
        ause: Area between curve and oracle; 0 is perfect.
        aurg: ``error_rate`` minus the area under the curve: what the uncertainty gains over
            removing at random. A constant uncertainty has ``error_rate`` / 100, because the last
            point is 0 by definition.
    """

    removed: tuple[float, ...]
    curve: tuple[float, ...]
    oracle: tuple[float, ...]
    error_rate: float
    ause: float
    aurg: float


class Sparsification(Accumulator):
    """Histogram of wrong and of all pixels over the uncertainty.

    The metrics are those of all pixels pooled, not a mean over images, and pixels of one bin are
    removed in proportion, as a random order among equals would on average.

    Attributes:
        counts: int64 (bins, 2): correct and wrong pixels. The same array as ``sums``.

    Reference:
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, On the Uncertainty of Self-Supervised
        Monocular Depth Estimation, CVPR 2020 (there: per image, of depth errors, which
        ``DepthSparsification`` does).
    """

    def __init__(self) -> None:
        super().__init__(np.zeros((_BINS, 2), np.int64))

    @property
    def settings(self) -> tuple[object, ...]:
        """Nothing can be set."""
        return ()

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Pixels by uncertainty and correctness."""
        return self.sums

    def update(self, uncertainty: Array, wrong: Array) -> None:
        """Add pixels.

        Args:
            uncertainty: float32 from 0 to 1, of any shape.
            wrong: Whether the mask was wrong, bool of the same shape.

        Raises:
            ShapeError: Shapes differ, ``wrong`` is not bool, or an uncertainty is outside 0 to 1.
        """
        require_flags(wrong, uncertainty.shape, 'wrong')
        # Adding 0 turns -0.0, which has the sign bit set, into 0.0.
        values = uncertainty.reshape(-1).astype(np.float32) + np.float32(0.0)
        if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
            raise ShapeError(
                'uncertainty must be from 0 to 1 without NaN; received '
                f'{values.min()} to {values.max()}: leave out pixels without prediction'
            )
        index = (values.view(np.uint32) >> _SHIFT).astype(np.intp) * 2 + wrong.reshape(-1)
        self.sums += np.bincount(index, minlength=2 * _BINS).reshape(_BINS, 2)

    def compute(self) -> SparsificationMetrics | None:
        """Compute the curve and its areas; None without pixels."""
        total = int(self.counts.sum())
        if total == 0:
            return None
        wrong = int(self.counts[:, 1].sum())
        left = total * (1.0 - _REMOVED[:-1])
        curve = np.append(self._wrong_among_surest(left) / left, 0.0)
        oracle = np.append(np.maximum(wrong - total * _REMOVED[:-1], 0.0) / left, 0.0)
        return metrics_from_curves(curve, oracle)

    def _wrong_among_surest(self, pixels: Curve) -> Curve:
        """Count the wrong ones among the given numbers of least uncertain pixels."""
        filled = self.counts[self.counts.any(axis=1)]
        up_to = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
        wrong_up_to = np.concatenate([[0], np.cumsum(filled[:, 1])])
        wrong: Curve = np.interp(pixels, up_to, wrong_up_to)
        return wrong


def metrics_from_curves(curve: Curve, oracle: Curve) -> SparsificationMetrics:
    """Compute the areas of two curves of ``STEPS`` + 1 points, whose first is of all pixels."""
    error_rate = float(curve[0])
    return SparsificationMetrics(
        removed=tuple(_REMOVED.tolist()),
        curve=tuple(curve.tolist()),
        oracle=tuple(oracle.tolist()),
        error_rate=error_rate,
        ause=_area(curve) - _area(oracle),
        aurg=error_rate - _area(curve),
    )


def kept_pixels(ascending: Floats) -> npt.NDArray[np.intp]:
    """Return how many pixels stay at each of the ``STEPS`` steps, at least 1.

    Those stay whose uncertainty does not exceed the percentile of the step, so equal ones stay or
    go together. The percentile is taken of the negated values, because that is how the reference
    does it and a tie may be rounded either way.

    Args:
        ascending: Uncertainty of all pixels, sorted, at least one.
    """
    negated = -ascending[::-1]
    thresholds = np.percentile(negated, 100.0 / STEPS * np.arange(STEPS))
    removed = np.searchsorted(negated, thresholds, side='left')
    return np.asarray(ascending.size - removed, np.intp)


def _area(curve: Curve) -> float:
    """Trapezoid rule on 0 to 1."""
    return float((curve[:-1] + curve[1:]).sum() / (2 * STEPS))
