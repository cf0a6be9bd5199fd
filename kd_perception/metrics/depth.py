# SPDX-License-Identifier: Apache-2.0
"""Depth errors: per image, then mean over images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.depth_accumulator import DepthAccumulator
from kd_perception.metrics.depth_protocol import DepthProtocol

Array = npt.NDArray[Any]

_DELTA = 1.25


class DepthMetrics(NamedTuple):
    """Errors of predicted depth p against true depth g.

    Attributes:
        abs_rel: Mean of |g - p| / g.
        sq_rel: Mean of (g - p)^2 / g [m].
        rmse: Root of the mean of (g - p)^2 [m].
        rmse_log: Root of the mean of (ln g - ln p)^2.
        delta1: Share of pixels with max(g / p, p / g) < 1.25.
        delta2: The same below 1.25^2.
        delta3: The same below 1.25^3.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    delta1: float
    delta2: float
    delta3: float


class DepthErrors(DepthAccumulator):
    """Mean of the depth errors over the images of a split.

    Images without a valid pixel are skipped and counted.

    Args:
        protocol: Which pixels count and how predictions are scaled and clamped;
            ``DEPTH_PROTOCOLS`` holds those of the field.

    Attributes:
        sums: float64 (9,): images, images skipped, sums of the errors in the order of
            :class:`DepthMetrics`.

    Reference:
        D. Eigen, C. Puhrsch, R. Fergus, Depth Map Prediction from a Single Image using a
        Multi-Scale Deep Network, NIPS 2014, with the protocol of Monodepth2, ICCV 2019.
    """

    def __init__(self, protocol: DepthProtocol | None = None) -> None:
        super().__init__(protocol, len(DepthMetrics._fields))

    def update(self, prediction_m: Array, target_m: Array) -> DepthMetrics | None:
        """Add one image.

        Args:
            prediction_m: HxW depth, already at the size of the target (``depth_from_inverse``).
            target_m: HxW depth; 0 is no measurement.

        Returns:
            The errors of this image; None if no pixel of it counts.

        Raises:
            ShapeError: See :meth:`DepthProtocol.pixels`.
        """
        pixels = self.protocol.pixels(prediction_m, target_m)
        if not pixels.target_m.size:
            self.sums[1] += 1
            return None
        errors = depth_metrics(pixels.prediction_m, pixels.target_m)
        self.sums[0] += 1
        self.sums[2:] += errors
        return errors

    def compute(self) -> DepthMetrics | None:
        """Return the means over images; None without images."""
        if not self.images:
            return None
        return DepthMetrics(*(self.sums[2:] / self.sums[0]).tolist())


def depth_metrics(prediction_m: Array, target_m: Array) -> DepthMetrics:
    """Compute the errors of the pixels of one image.

    Args:
        prediction_m: (N,), above 0, at least one.
        target_m: (N,), above 0.

    Raises:
        ShapeError: Shapes differ, nothing is there, or a depth is not above 0 and finite.
    """
    for name, depth in (('prediction', prediction_m), ('target', target_m)):
        if depth.ndim != 1 or depth.shape != target_m.shape or not depth.size:
            raise ShapeError(
                'depths must be flat, as many and at least one; received '
                f'{prediction_m.shape} and {target_m.shape}'
            )
        if not (depth.min() > 0 and np.isfinite(depth.max())):
            raise ShapeError(
                f'{name} must be above 0 and finite; received {depth.min()} to {depth.max()}'
            )
    p, g = prediction_m.astype(np.float64), target_m.astype(np.float64)
    difference = np.abs(g - p)
    squared = difference**2
    ratio = np.maximum(g / p, p / g)
    return DepthMetrics(
        abs_rel=float((difference / g).mean()),
        sq_rel=float((squared / g).mean()),
        rmse=float(np.sqrt(squared.mean())),
        rmse_log=float(np.sqrt(((np.log(g) - np.log(p)) ** 2).mean())),
        delta1=float((ratio < _DELTA).mean()),
        delta2=float((ratio < _DELTA**2).mean()),
        delta3=float((ratio < _DELTA**3).mean()),
    )
