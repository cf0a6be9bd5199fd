# SPDX-License-Identifier: Apache-2.0
"""How far a stated probability can be believed: reliability bins, ECE, log likelihood."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]


class CalibrationBin(NamedTuple):
    """One bar of a reliability diagram.

    Attributes:
        low: Confidence above this (the first bin includes 0).
        high: Confidence up to and including this.
        pixels: How many fell into the bin.
        confidence: Mean confidence of the bin; NaN if empty.
        accuracy: Share of correct pixels; NaN if empty.
    """

    low: float
    high: float
    pixels: int
    confidence: float
    accuracy: float


class CalibrationBins:
    """Reliability of a confidence, in bins of equal width that are closed on the right.

    Args:
        num_bins: 15 is what the field reports.

    Attributes:
        sums: float64 (num_bins, 3): pixels, sum of confidence, correct pixels. May be summed over
            processes.

    Raises:
        ShapeError: Less than one bin.

    Reference:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks,
        ICML 2017.
    """

    def __init__(self, num_bins: int = 15) -> None:
        if num_bins < 1:
            raise ShapeError(f'num_bins must be at least 1; received {num_bins}')
        self.num_bins = num_bins
        self.sums: npt.NDArray[np.float64] = np.zeros((num_bins, 3))

    def update(self, confidence: Array, correct: Array, weights: Array | None = None) -> None:
        """Add pixels.

        Args:
            confidence: Probabilities from 0 to 1, of any shape.
            correct: Whether the class was right, of the same shape.
            weights: How many pixels each entry stands for; None for one each.

        Raises:
            ShapeError: Shapes differ or a confidence is outside 0 to 1.
        """
        values, right, pixels = _flat(confidence, correct, weights)
        # The tolerance keeps values such as 17/255 in the bin whose upper edge they are.
        index = np.ceil(values * self.num_bins - 1e-9).astype(np.intp) - 1
        index = np.clip(index, 0, self.num_bins - 1)
        for column, summand in enumerate((pixels, pixels * values, pixels * right)):
            self.sums[:, column] += np.bincount(index, summand, self.num_bins)

    def merge(self, other: CalibrationBins) -> None:
        """Add the sums of another instance with as many bins.

        Raises:
            ShapeError: The number of bins differs.
        """
        if other.num_bins != self.num_bins:
            raise ShapeError(
                f'merged bins must be as many; received {self.num_bins} and {other.num_bins}'
            )
        self.sums += other.sums

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over pixels of |accuracy - confidence| of their bin.

        NaN without pixels.
        """
        total = self.sums[:, 0].sum()
        if total == 0:
            return float('nan')
        return float(np.abs(self.sums[:, 2] - self.sums[:, 1]).sum() / total)

    @property
    def bins(self) -> tuple[CalibrationBin, ...]:
        """The bars of the reliability diagram, lowest confidence first."""
        edges = np.linspace(0.0, 1.0, self.num_bins + 1)
        with np.errstate(invalid='ignore'):
            means = self.sums[:, 1:] / self.sums[:, :1]
        return tuple(
            CalibrationBin(low, high, int(pixels), *mean)
            for low, high, pixels, mean in zip(
                edges[:-1].tolist(),
                edges[1:].tolist(),
                self.sums[:, 0],
                means.tolist(),
                strict=True,
            )
        )


class NegativeLogLikelihood:
    """Mean of -ln(probability given to what turned out to be true) [nat].

    Args:
        floor: Probabilities below count as this, so that one zero does not make it infinite.

    Attributes:
        sums: float64 (2,): pixels, sum of -ln p. May be summed over processes.
    """

    def __init__(self, floor: float = 1.0e-12) -> None:
        self.floor = floor
        self.sums: npt.NDArray[np.float64] = np.zeros(2)

    def update(self, probability: Array, weights: Array | None = None) -> None:
        """Add pixels.

        Args:
            probability: That of the true class or event, 0 to 1, of any shape.
            weights: How many pixels each entry stands for; None for one each.

        Raises:
            ShapeError: A probability is outside 0 to 1, or the weights' shape differs.
        """
        values, _, pixels = _flat(probability, probability, weights)
        self.sums += pixels.sum(), -(pixels * np.log(np.maximum(values, self.floor))).sum()

    def merge(self, other: NegativeLogLikelihood) -> None:
        """Add the sums of another instance."""
        self.sums += other.sums

    @property
    def nll(self) -> float:
        """The mean; NaN without pixels."""
        return float(self.sums[1] / self.sums[0]) if self.sums[0] else float('nan')


def _flat(
    values: Array, correct: Array, weights: Array | None
) -> tuple[npt.NDArray[np.float64], Array, npt.NDArray[np.float64]]:
    """Check and flatten the arguments of an update."""
    pixels = np.ones(values.shape) if weights is None else np.asarray(weights, np.float64)
    if correct.shape != values.shape or pixels.shape != values.shape:
        raise ShapeError(
            f'values, correct and weights must have one shape; received {values.shape}, '
            f'{correct.shape} and {pixels.shape}'
        )
    flat = values.reshape(-1).astype(np.float64)
    if flat.size and not (flat.min() >= 0.0 and flat.max() <= 1.0):
        raise ShapeError(
            'probabilities must be from 0 to 1 without NaN; received '
            f'{flat.min()} to {flat.max()}: leave out pixels without prediction'
        )
    return flat, correct.reshape(-1), pixels.reshape(-1)
