# SPDX-License-Identifier: Apache-2.0
"""How far a stated probability can be believed: reliability bins, ECE, log likelihood."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.accumulator import Accumulator

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


class CalibrationMetrics(NamedTuple):
    """What reliability bins say.

    Attributes:
        ece: Expected calibration error, 0 to 1; NaN without pixels.
        bins: The bars of the reliability diagram, lowest confidence first.
    """

    ece: float
    bins: tuple[CalibrationBin, ...]


class CalibrationBins(Accumulator):
    """Reliability of a confidence, in bins of equal width that are closed on the right.

    Args:
        num_bins: 15 is what the field reports.

    Attributes:
        sums: float64 (num_bins, 3): pixels, sum of confidence, correct pixels.

    Raises:
        ShapeError: Less than one bin.

    Reference:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks,
        ICML 2017. A confidence of exactly 0, which falls into none of its bins, is in the first.
    """

    def __init__(self, num_bins: int = 15) -> None:
        if num_bins < 1:
            raise ShapeError(f'num_bins must be at least 1; received {num_bins}')
        super().__init__(np.zeros((num_bins, 3)))
        self.num_bins = num_bins

    @property
    def settings(self) -> tuple[object, ...]:
        """Number of bins."""
        return (self.num_bins,)

    def update(self, confidence: Array, correct: Array, weights: Array | None = None) -> None:
        """Add pixels.

        Args:
            confidence: Probabilities from 0 to 1, of any shape.
            correct: Whether the class was right, bool of the same shape.
            weights: How many pixels each entry stands for; None for one each.

        Raises:
            ShapeError: Shapes differ, ``correct`` is not bool, or a confidence is outside 0 to 1.
        """
        require_flags(correct, confidence.shape, 'correct')
        values, pixels = _flat(confidence, weights)
        right = correct.reshape(-1)
        # The tolerance keeps values such as 17/255 in the bin whose upper edge they are.
        index = np.ceil(values * self.num_bins - 1e-9).astype(np.intp) - 1
        index = np.clip(index, 0, self.num_bins - 1)
        for column, summand in enumerate((pixels, pixels * values, pixels * right)):
            self.sums[:, column] += np.bincount(index, summand, self.num_bins)

    def compute(self) -> CalibrationMetrics:
        """Return both metrics at once."""
        return CalibrationMetrics(self.ece, self.bins)

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


class NegativeLogLikelihood(Accumulator):
    """Mean of -ln(probability given to what turned out to be true) [nat].

    For probabilities as they are published; `kd_perception.uncertainty` has that of logits.

    Args:
        floor: Probabilities below count as this, so that one zero does not make it infinite.

    Attributes:
        sums: float64 (2,): pixels, sum of -ln p.
    """

    def __init__(self, floor: float = 1.0e-12) -> None:
        super().__init__(np.zeros(2))
        self.floor = floor

    @property
    def settings(self) -> tuple[object, ...]:
        """The floor of the probability."""
        return (self.floor,)

    def update(self, probability: Array, weights: Array | None = None) -> None:
        """Add pixels.

        Args:
            probability: That of the true class or event, 0 to 1, of any shape.
            weights: How many pixels each entry stands for; None for one each.

        Raises:
            ShapeError: A probability is outside 0 to 1, or the weights' shape differs.
        """
        values, pixels = _flat(probability, weights)
        self.sums += pixels.sum(), -(pixels * np.log(np.maximum(values, self.floor))).sum()

    def compute(self) -> float:
        """Return :attr:`nll`."""
        return self.nll

    @property
    def nll(self) -> float:
        """The mean; NaN without pixels."""
        return float(self.sums[1] / self.sums[0]) if self.sums[0] else float('nan')


def require_flags(flags: Array, shape: tuple[int, ...], name: str) -> None:
    """Raise unless an array is bool and of a shape.

    Raises:
        ShapeError: It is not.
    """
    if flags.dtype != np.bool_ or flags.shape != shape:
        raise ShapeError(
            f'{name} must be bool and have one shape with the values, {shape}; received '
            f'{flags.dtype} {flags.shape}'
        )


def _flat(
    values: Array, weights: Array | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Check and flatten probabilities and their weights."""
    pixels = np.ones(values.shape) if weights is None else np.asarray(weights, np.float64)
    if pixels.shape != values.shape:
        raise ShapeError(
            f'values and weights must have one shape; received {values.shape} and {pixels.shape}'
        )
    flat = values.reshape(-1).astype(np.float64)
    if flat.size and not (flat.min() >= 0.0 and flat.max() <= 1.0):
        raise ShapeError(
            'probabilities must be from 0 to 1 without NaN; received '
            f'{flat.min()} to {flat.max()}: leave out pixels without prediction'
        )
    return flat, pixels.reshape(-1)
