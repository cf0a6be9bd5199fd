# SPDX-License-Identifier: Apache-2.0
"""Confusion matrix over a whole split, and the segmentation metrics that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]

_LEVELS = 256


@dataclass(frozen=True)
class SegmentationMetrics:
    """Shares between 0 and 1; NaN where nothing was there to divide by.

    Attributes:
        iou: Per class TP / (TP + FP + FN); NaN if the class is in neither target nor mask.
        accuracy: Per class TP / (TP + FN); NaN if the class is not in the target.
        miou: Mean of ``iou`` with NaN counted as 0, as MFNet papers report it. A split that lacks
            a class is punished for it.
        miou_nanmean: Mean of ``iou`` over the classes that occur.
        macc: Mean of ``accuracy`` with NaN counted as 0.
        macc_nanmean: Mean of ``accuracy`` over the classes of the target.
        pixel_accuracy: Correct pixels / labeled pixels.
        unpredicted: Labeled pixels without prediction / labeled pixels.
    """

    iou: tuple[float, ...]
    accuracy: tuple[float, ...]
    miou: float
    miou_nanmean: float
    macc: float
    macc_nanmean: float
    pixel_accuracy: float
    unpredicted: float


class ConfusionMatrix:
    """Counts (target, predicted) pairs of pixels.

    Args:
        num_classes: From 1 to 255.
        ignore_index: Target value of pixels that do not count, and mask value of pixels without
            prediction. These are misses: they lower IoU and accuracy of their target.

    Attributes:
        counts: int64 (C, C + 1), rows target, columns mask; the last column holds the pixels
            without prediction. May be summed over processes.

    Raises:
        ShapeError: The number of classes is out of range.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        if not 1 <= num_classes <= ignore_index < _LEVELS:
            raise ShapeError(
                f'num_classes must be from 1 to ignore_index and that below {_LEVELS}; '
                f'received {num_classes} and {ignore_index}'
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: Counts = np.zeros((num_classes, num_classes + 1), np.int64)

    def update(self, mask: Array, target: Array) -> Counts:
        """Add one image or batch.

        Args:
            mask: Predicted class ids or ``ignore_index``, integers of any shape.
            target: True class ids or ``ignore_index``, of the same shape.

        Returns:
            The counts of these pixels alone, in the layout of ``counts``.

        Raises:
            ShapeError: Shapes differ, or an id is neither a class nor ``ignore_index``.
        """
        joint = _joint_histogram(mask, target)
        self._require_known(joint.sum(axis=0), 'mask')
        self._require_known(joint.sum(axis=1), 'target')
        classes = self.num_classes
        added = np.concatenate(
            [joint[:classes, :classes], joint[:classes, self.ignore_index, None]], axis=1
        )
        self.counts += added
        return added

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix of the same classes.

        Raises:
            ShapeError: The number of classes differs.
        """
        if other.counts.shape != self.counts.shape:
            raise ShapeError(
                f'merged matrices must have the same classes; received {self.num_classes} '
                f'and {other.num_classes}'
            )
        self.counts += other.counts

    def compute(self) -> SegmentationMetrics:
        """Divide the sums gathered so far."""
        return metrics_from_counts(self.counts)

    def _require_known(self, pixels: Counts, name: str) -> None:
        stray = np.flatnonzero(pixels)
        stray = stray[(stray >= self.num_classes) & (stray != self.ignore_index)]
        if stray.size:
            raise ShapeError(
                f'{name} ids must be below {self.num_classes} or {self.ignore_index}; received '
                f'{stray[:5].tolist()}: check that the label ids are those of the student'
            )


def metrics_from_counts(counts: Counts) -> SegmentationMetrics:
    """Compute the metrics of a confusion matrix.

    Args:
        counts: (C, C) or (C, C + 1), rows target, columns mask, then pixels without prediction.
    """
    classes = len(counts)
    hits = counts.diagonal()
    in_target = counts.sum(axis=1)
    in_mask = counts[:, :classes].sum(axis=0)
    labeled = in_target.sum()
    iou = _ratio(hits, in_target + in_mask - hits)
    accuracy = _ratio(hits, in_target)
    return SegmentationMetrics(
        iou=tuple(iou.tolist()),
        accuracy=tuple(accuracy.tolist()),
        miou=float(np.nan_to_num(iou).mean()),
        miou_nanmean=_nanmean(iou),
        macc=float(np.nan_to_num(accuracy).mean()),
        macc_nanmean=_nanmean(accuracy),
        pixel_accuracy=float(_ratio(hits.sum(), labeled)),
        unpredicted=float(_ratio(counts[:, classes:].sum(), labeled)),
    )


def _joint_histogram(mask: Array, target: Array) -> Counts:
    """Count every (target, mask) pair of byte values in one pass."""
    if mask.shape != target.shape:
        raise ShapeError(
            f'mask and target must have one shape; received {mask.shape} and {target.shape}'
        )
    pairs = _bytes(target, 'target').astype(np.intp) * _LEVELS + _bytes(mask, 'mask')
    joint = np.bincount(pairs.reshape(-1), minlength=_LEVELS * _LEVELS)
    return joint.reshape(_LEVELS, _LEVELS)


def _bytes(ids: Array, name: str) -> npt.NDArray[np.uint8]:
    if ids.dtype == np.uint8:
        return ids
    if ids.dtype.kind not in 'iu' or (ids.size and not 0 <= ids.min() <= ids.max() < _LEVELS):
        raise ShapeError(f'{name} must hold integers from 0 to 255; received {ids.dtype}')
    return ids.astype(np.uint8)


def _ratio(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    with np.errstate(invalid='ignore'):
        return np.true_divide(part, whole)


def _nanmean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')
