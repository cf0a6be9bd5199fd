# SPDX-License-Identifier: Apache-2.0
"""How well a predicted edge map covers the edge label: the edge IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.metrics.accumulator import Accumulator

Array = npt.NDArray[Any]


class EdgeScore(NamedTuple):
    """Edge IoU at one threshold.

    Attributes:
        threshold: A pixel is predicted to be an edge if its probability is at least this.
        iou: Edge pixels of both / edge pixels of either, 0 to 1; NaN if there are none.
    """

    threshold: float
    iou: float


class EdgeIoU(Accumulator):
    """IoU of a thresholded edge map with the edge label, for several thresholds at once.

    Pixels are pooled over the split, as for the confusion matrix: the sum of the intersections by
    the sum of the unions.

    Args:
        thresholds: Between 0 and 1.
        ignore_index: Label value of pixels that do not count.

    Attributes:
        sums: int64 (thresholds, 2): pixels of the intersection and of the union.

    Raises:
        ShapeError: No threshold, or one is outside 0 to 1.

    Reference:
        Z. Feng, Y. Guo, Y. Sun, CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for
        Semantic Scene Understanding Using Only Thermal Images, RA-L 2023, which scores its edge
        decoder so. The label is the class-agnostic one of 0 and 1.
    """

    def __init__(self, thresholds: Sequence[float] = (0.5,), ignore_index: int = 255) -> None:
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        if not self.thresholds or not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise ShapeError(f'thresholds must be from 0 to 1; received {self.thresholds}')
        super().__init__(np.zeros((len(self.thresholds), 2), np.int64))
        self.ignore_index = ignore_index

    @property
    def settings(self) -> tuple[object, ...]:
        """Thresholds and the ignored label."""
        return self.thresholds, self.ignore_index

    def update(self, probability: Array, edge: Array) -> None:
        """Add one image or batch.

        Args:
            probability: That a pixel is an edge, floats from 0 to 1 (after the sigmoid) of any
                shape.
            edge: Edge label, bool or integers 0, 1 and ``ignore_index``, of the same shape.

        Raises:
            ShapeError: Shapes or types differ from that, or values are out of range.
        """
        self._check(probability, edge)
        true = edge == 1
        counted = true | (edge == 0)
        for row, threshold in zip(self.sums, self.thresholds, strict=True):
            predicted = (probability >= threshold) & counted
            row += np.count_nonzero(predicted & true), np.count_nonzero(predicted | true)

    def compute(self) -> tuple[EdgeScore, ...]:
        """Divide the sums gathered so far; one score per threshold."""
        with np.errstate(invalid='ignore'):
            iou = self.sums[:, 0] / self.sums[:, 1]
        return tuple(map(EdgeScore, self.thresholds, iou.tolist()))

    def _check(self, probability: Array, edge: Array) -> None:
        if probability.shape != edge.shape:
            raise ShapeError(
                'probability and edge must have one shape; received '
                f'{probability.shape} and {edge.shape}'
            )
        if probability.dtype.kind != 'f' or edge.dtype.kind not in 'biu':
            raise ShapeError(
                'probability must be floats and edge bool or integers; received '
                f'{probability.dtype} and {edge.dtype}'
            )
        if not edge.size:
            return
        if not (probability.min() >= 0.0 and probability.max() <= 1.0):
            raise ShapeError(
                'probabilities must be from 0 to 1 without NaN; received '
                f'{probability.min()} to {probability.max()}: apply the sigmoid to logits'
            )
        stray = (edge != 0) & (edge != 1) & (edge != self.ignore_index)
        if stray.any():
            raise ShapeError(
                f'edge must hold 0, 1 or {self.ignore_index}; received {edge[stray][0]}'
            )
