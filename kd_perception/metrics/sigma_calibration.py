# SPDX-License-Identifier: Apache-2.0
"""Whether the uncertainty of depth has the right size: coverage of its intervals, likelihood."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.accumulator import Accumulator

Array = npt.NDArray[Any]

LEVELS = 100
_NORMAL = NormalDist()
_EDGES = np.array([_NORMAL.inv_cdf(0.5 + 0.5 * k / LEVELS) for k in range(LEVELS)])
WITHIN_SIGMA = tuple(2.0 * _NORMAL.cdf(k) - 1.0 for k in (1.0, 2.0))
"""Shares of the errors within one and two sigma if sigma is right: 68.3 %, 95.4 %."""


class SigmaCalibrationMetrics(NamedTuple):
    """Pooled over all pixels.

    Attributes:
        level: Stated probabilities of an interval around the depth, 0 to 1: that of a normal
            distribution, which is what readers of a sigma expect.
        coverage: Share of the pixels whose true depth lies in that interval.
        calibration_error: Mean of |coverage - level| over the levels.
        coverage_68: Coverage of the interval of 68 %.
        coverage_95: Coverage of the interval of 95 %.
        within_1_sigma: Share of the errors up to one sigma; ``WITHIN_SIGMA`` if all is right.
        within_2_sigma: Share of the errors up to two sigma.
        nll: Mean negative log likelihood of the true depth [nat, of a density per meter] under a
            Laplace distribution of that sigma: under a normal one, the few largest errors would
            decide alone.
        pixels: How many there are.
    """

    level: tuple[float, ...]
    coverage: tuple[float, ...]
    calibration_error: float
    coverage_68: float
    coverage_95: float
    within_1_sigma: float
    within_2_sigma: float
    nll: float
    pixels: int


class SigmaCalibration(Accumulator):
    """Histogram of the errors in units of sigma, by what a normal distribution expects.

    Attributes:
        sums: float64: pixels by the probability below which their error lies, in ``LEVELS`` equal
            bins, the sum of the negative log likelihoods, pixels within one and two sigma.

    Reference:
        V. Kuleshov, N. Fenner, S. Ermon, Accurate Uncertainties for Deep Learning Using Calibrated
        Regression, ICML 2018.
    """

    def __init__(self) -> None:
        super().__init__(np.zeros(LEVELS + 3))

    @property
    def settings(self) -> tuple[object, ...]:
        """None."""
        return ()

    def update(self, prediction_m: Array, target_m: Array, sigma_m: Array) -> None:
        """Add pixels.

        Args:
            prediction_m: (N,) depth.
            target_m: (N,) true depth.
            sigma_m: (N,) standard deviation, above 0.

        Raises:
            ShapeError: Shapes differ, a value is not finite, or a sigma is not above 0.
        """
        arrays = (prediction_m, target_m, sigma_m)
        if any(a.ndim != 1 or a.shape != target_m.shape for a in arrays):
            raise ShapeError(
                'prediction, target and sigma must be flat and as many; received '
                f'{prediction_m.shape}, {target_m.shape} and {sigma_m.shape}'
            )
        if not all(np.isfinite(a).all() for a in arrays) or not (sigma_m > 0).all():
            raise ShapeError('depths must be finite and sigma above 0: leave out other pixels')
        error = np.abs(prediction_m.astype(np.float64) - target_m)
        scale = sigma_m.astype(np.float64) / math.sqrt(2.0)
        ratio = error / scale
        place = np.searchsorted(_EDGES, error / sigma_m, 'right') - 1
        self.sums[:LEVELS] += np.bincount(place, minlength=LEVELS)
        self.sums[LEVELS] += (ratio + np.log(2.0 * scale)).sum()
        self.sums[LEVELS + 1] += (error <= sigma_m).sum()
        self.sums[LEVELS + 2] += (error <= 2.0 * sigma_m.astype(np.float64)).sum()

    def compute(self) -> SigmaCalibrationMetrics | None:
        """Return the curve and its figures; None without pixels."""
        pixels = int(self.sums[:LEVELS].sum())
        if not pixels:
            return None
        level = np.arange(LEVELS + 1) / LEVELS
        coverage = np.append(0.0, np.cumsum(self.sums[:LEVELS]) / pixels)
        return SigmaCalibrationMetrics(
            level=tuple(level.tolist()),
            coverage=tuple(coverage.tolist()),
            calibration_error=float(np.abs(coverage - level).mean()),
            coverage_68=float(coverage[68 * LEVELS // 100]),
            coverage_95=float(coverage[95 * LEVELS // 100]),
            within_1_sigma=float(self.sums[LEVELS + 1] / pixels),
            within_2_sigma=float(self.sums[LEVELS + 2] / pixels),
            nll=float(self.sums[LEVELS] / pixels),
            pixels=pixels,
        )
