# SPDX-License-Identifier: Apache-2.0
"""Confusion matrix over a whole split, and the segmentation metrics that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.metrics.accumulator import Accumulator
from kd_perception.metrics.class_ids import (
    LEVELS,
    byte_ids,
    require_classes,
    require_known,
    require_one_shape,
)

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]

VOC_CLASSES = 21


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


class ConfusionMatrix(Accumulator):
    """Counts (target, predicted) pairs of pixels, over a whole split.

    Args:
        num_classes: From 1 to 255.
        ignore_index: Target value of pixels that do not count, and mask value of pixels without
            prediction. These are misses: they lower IoU and accuracy of their target.

    Attributes:
        counts: int64 (C, C + 1), rows target, columns mask; the last column holds the pixels
            without prediction. The same array as ``sums``.

    Raises:
        ShapeError: The number of classes is out of range.

    Reference:
        Y. Sun, W. Zuo, M. Liu, RTFNet: RGB-Thermal Fusion Network for Semantic Segmentation of
        Urban Scenes, RA-L 2019, equations 1 and 2. All classes count, unlabeled (0) too. Figures
        of MFNet's own code, which leaves class 0 out, cannot be compared.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        require_classes(num_classes, ignore_index)
        super().__init__(np.zeros((num_classes, num_classes + 1), np.int64))
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    @property
    def settings(self) -> tuple[object, ...]:
        """Number of classes and the ignored id."""
        return self.num_classes, self.ignore_index

    @property
    def counts(self) -> Counts:
        """Pixels by target and mask."""
        return self.sums

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
        for name, axis in (('mask', 0), ('target', 1)):
            pixels = joint.sum(axis=axis)
            require_known(pixels, self.num_classes, self.ignore_index, name)
        classes = self.num_classes
        added = np.concatenate(
            [joint[:classes, :classes], joint[:classes, self.ignore_index, None]], axis=1
        )
        self.sums += added
        return added

    def compute(self) -> SegmentationMetrics:
        """Divide the sums gathered so far."""
        return metrics_from_counts(self.counts)


class PseudoLabelMatrix(ConfusionMatrix):
    """Confusion matrix of pseudo-masks, by default of VOC 2012, against the true training masks.

    Pixels that the pseudo-mask leaves open (255) are no misses here: no student is trained on
    them. They do not count, and ``unpredicted`` says how many they are. ``miou_nanmean`` is the
    figure of the paper.

    Args:
        num_classes: 20 objects and background.
        ignore_index: In the target the border of objects, in the mask what is left open.

    Reference:
        S. Lee, M. Lee, J. Lee, H. Shim, Railroad is not a Train: Saliency as Pseudo-pixel
        Supervision for Weakly Supervised Semantic Segmentation (EPS), CVPR 2021, and the
        evaluation in its released code.
    """

    def __init__(self, num_classes: int = VOC_CLASSES, ignore_index: int = 255) -> None:
        super().__init__(num_classes, ignore_index)

    def compute(self) -> SegmentationMetrics:
        """Divide the sums gathered so far, without the pixels that were left open."""
        left_open = metrics_from_counts(self.counts).unpredicted
        decided = self.counts[:, : self.num_classes]
        return replace(metrics_from_counts(decided), unpredicted=left_open)


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
    require_one_shape(mask, target)
    pairs = byte_ids(target, 'target').astype(np.intp) * LEVELS + byte_ids(mask, 'mask')
    joint = np.bincount(pairs.reshape(-1), minlength=LEVELS * LEVELS)
    return joint.reshape(LEVELS, LEVELS)


def _ratio(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    with np.errstate(invalid='ignore'):
        return np.true_divide(part, whole)


def _nanmean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')
