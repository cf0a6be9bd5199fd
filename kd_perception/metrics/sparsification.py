# SPDX-License-Identifier: Apache-2.0
"""Whether the uncertain pixels are the wrong ones: sparsification curve, AUSE and AURG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]
Curve = npt.NDArray[np.float64]

STEPS = 50

# A non-negative float32 sorts like its bits. Bins of equal leading 16 bits (sign, exponent, 7 bits
# of the fraction) are less than 1 % wide relative to their value, so the order survives near 0,
# where a sure student puts most pixels.
_SHIFT = np.uint32(16)
_BINS = int(np.float32(1.0).view(np.uint32) >> _SHIFT) + 1


@dataclass(frozen=True)
class SparsificationMetrics:
    """Error rate of the pixels that are left when the most uncertain ones are taken away.

    Attributes:
        removed: Shares taken away, 0 to 1, in ``STEPS`` steps.
        curve: Error rate of the rest, most uncertain removed first; the last point is 0.
        oracle: The same when the wrong pixels are removed first.
        error_rate: Wrong pixels / pixels.
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


class Sparsification:
    """Histogram of wrong and of all pixels over the uncertainty.

    The metrics are those of all pixels pooled, not a mean over images, and pixels of one bin are
    removed in proportion, as a random order among equals would on average.

    Attributes:
        counts: int64 (bins, 2): correct and wrong pixels. May be summed over processes.

    Reference:
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, On the Uncertainty of Self-Supervised
        Monocular Depth Estimation, CVPR 2020 (there: per image, of depth errors).
    """

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((_BINS, 2), np.int64)

    def update(self, uncertainty: Array, wrong: Array) -> None:
        """Add pixels.

        Args:
            uncertainty: float32 from 0 to 1, of any shape.
            wrong: Whether the mask was wrong, of the same shape.

        Raises:
            ShapeError: Shapes differ or an uncertainty is outside 0 to 1.
        """
        if uncertainty.shape != wrong.shape:
            raise ShapeError(
                'uncertainty and wrong must have one shape; received '
                f'{uncertainty.shape} and {wrong.shape}'
            )
        # Adding 0 turns -0.0, which has the sign bit set, into 0.0.
        values = uncertainty.reshape(-1).astype(np.float32) + np.float32(0.0)
        if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
            raise ShapeError(
                'uncertainty must be from 0 to 1 without NaN; received '
                f'{values.min()} to {values.max()}: leave out pixels without prediction'
            )
        index = (values.view(np.uint32) >> _SHIFT).astype(np.intp) * 2 + wrong.reshape(-1)
        self.counts += np.bincount(index, minlength=2 * _BINS).reshape(_BINS, 2)

    def merge(self, other: Sparsification) -> None:
        """Add the pixels of another instance."""
        self.counts += other.counts

    def compute(self) -> SparsificationMetrics | None:
        """Compute the curve and its areas; None without pixels."""
        total = int(self.counts.sum())
        if total == 0:
            return None
        wrong = int(self.counts[:, 1].sum())
        removed = np.linspace(0.0, 1.0, STEPS + 1)
        left = total * (1.0 - removed[:-1])
        curve = np.append(self._wrong_among_surest(left) / left, 0.0)
        oracle = np.append(np.maximum(wrong - total * removed[:-1], 0.0) / left, 0.0)
        return SparsificationMetrics(
            removed=tuple(removed.tolist()),
            curve=tuple(curve.tolist()),
            oracle=tuple(oracle.tolist()),
            error_rate=wrong / total,
            ause=_area(curve) - _area(oracle),
            aurg=wrong / total - _area(curve),
        )

    def _wrong_among_surest(self, pixels: Curve) -> Curve:
        """Count the wrong ones among the given numbers of least uncertain pixels."""
        filled = self.counts[self.counts.any(axis=1)]
        up_to = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
        wrong_up_to = np.concatenate([[0], np.cumsum(filled[:, 1])])
        wrong: Curve = np.interp(pixels, up_to, wrong_up_to)
        return wrong


def _area(curve: Curve) -> float:
    """Trapezoid rule on 0 to 1."""
    return float((curve[:-1] + curve[1:]).sum() / (2 * STEPS))
