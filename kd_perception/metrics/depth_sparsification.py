# SPDX-License-Identifier: Apache-2.0
"""Whether the uncertain depths are the wrong ones: AUSE and AURG of depth errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.depth_accumulator import DepthAccumulator
from kd_perception.metrics.depth_protocol import DepthProtocol
from kd_perception.metrics.sparsification import (
    STEPS,
    Curve,
    SparsificationMetrics,
    kept_pixels,
    metrics_from_curves,
)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_OUTLIER_RATIO = 1.25
_CURVES = (3, 2, STEPS + 1)


class DepthSparsificationMetrics(NamedTuple):
    """Sparsification by three errors; mean over images.

    Attributes:
        abs_rel: By |g - p| / g.
        rmse: By the root of the mean of (g - p)^2 [m].
        outliers: By the share with max(g / p, p / g) >= 1.25, that is 1 - delta1. The papers call
            it a1.
    """

    abs_rel: SparsificationMetrics
    rmse: SparsificationMetrics
    outliers: SparsificationMetrics


class DepthSparsification(DepthAccumulator):
    """Sparsification curves of depth, per image, then mean over images.

    At step k the pixels stay whose uncertainty is at most the (100 - 2 k)th percentile, ties
    included, so a constant uncertainty removes nothing. The oracle orders by the error of the
    pixel: relative, squared, or the ratio. Areas are linear in the curve, so those of the mean
    curve are the means of the areas.

    Args:
        protocol: Which pixels count and how predictions are scaled and clamped.

    Attributes:
        sums: float64: images, images skipped, then the sums of the curves (error, curve or oracle,
            step).

    Reference:
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, On the Uncertainty of Self-Supervised
        Monocular Depth Estimation, CVPR 2020, and its released evaluation.
    """

    def __init__(self, protocol: DepthProtocol | None = None) -> None:
        super().__init__(protocol, int(np.prod(_CURVES)))

    def update(self, prediction_m: Array, target_m: Array, uncertainty: Array) -> None:
        """Add one image.

        Args:
            prediction_m: HxW depth, already at the size of the target.
            target_m: HxW depth; 0 is no measurement.
            uncertainty: HxW, of any scale and sign: only its order matters. Finite where the
                target counts.

        Raises:
            ShapeError: See :meth:`DepthProtocol.pixels`; or the uncertainty is of another size or
                not finite.
        """
        if uncertainty.shape != target_m.shape or uncertainty.dtype.kind not in 'fiu':
            raise ShapeError(
                f'uncertainty must be numbers of the size {target_m.shape} of the target; '
                f'received {uncertainty.dtype} {uncertainty.shape}'
            )
        pixels = self.protocol.pixels(prediction_m, target_m)
        if not pixels.target_m.size:
            self.sums[1] += 1
            return
        order = uncertainty[pixels.valid].astype(np.float64)
        if not np.isfinite(order).all():
            raise ShapeError('uncertainty must be finite where the target is valid; it is not')
        self.sums[0] += 1
        self.sums[2:] += _curves(pixels.prediction_m, pixels.target_m, order).reshape(-1)

    def compute(self) -> DepthSparsificationMetrics | None:
        """Return the mean curves and their areas; None without images."""
        if not self.images:
            return None
        curves = (self.sums[2:] / self.sums[0]).reshape(_CURVES)
        return DepthSparsificationMetrics(*(metrics_from_curves(*pair) for pair in curves))


def _curves(prediction: Floats, target: Floats, uncertainty: Floats) -> Floats:
    """Curve and oracle by every error, (3, 2, steps + 1)."""
    difference = np.abs(target - prediction)
    relative, squared = difference / target, difference**2
    ratio = np.maximum(target / prediction, prediction / target)
    order = np.argsort(uncertainty)
    kept = kept_pixels(uncertainty[order])
    # In the order of the oracle, each error is sorted by itself; outliers are by the ratio.
    curves = []
    for error in (relative, squared, ratio):
        oracle = np.sort(error)
        pair = [(error[order], kept), (oracle, kept_pixels(oracle))]
        if error is ratio:
            pair = [(values >= _OUTLIER_RATIO, left) for values, left in pair]
        means = np.stack([_mean_of_surest(values, left) for values, left in pair])
        curves.append(np.sqrt(means) if error is squared else means)
    return np.stack(curves)


def _mean_of_surest(values: Array, kept: npt.NDArray[np.intp]) -> Curve:
    """Mean over the first pixels, for each number of them; 0 for none, by definition."""
    up_to = np.cumsum(values, dtype=np.float64)
    return np.append(up_to[kept - 1] / kept, 0.0)
