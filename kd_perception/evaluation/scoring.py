# SPDX-License-Identifier: Apache-2.0
"""Accumulate masks, confidence and uncertainty against ground truth, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.evaluation.result import Scores
from kd_perception.metrics import (
    CalibrationBins,
    ConfusionMatrix,
    NegativeLogLikelihood,
    Sparsification,
)
from kd_perception.metrics.segmentation import metrics_from_counts
from kd_perception.uncertainty import IGNORE_INDEX

Array = npt.NDArray[Any]

_LEVELS = np.arange(256) / 255.0
# Confidence is published in steps of 1/255; 0 and 1 stand for anything within half a step.
_HALF_STEP = 0.5 / 255.0


class Scorer:
    """All metrics of an evaluation.

    IoU and accuracy count every labeled pixel, those without prediction as misses. Calibration and
    sparsification are about the pixels that have a prediction.

    Args:
        num_classes: Of student and labels alike.
    """

    def __init__(self, num_classes: int) -> None:
        self.frames = 0
        self._confusion = ConfusionMatrix(num_classes)
        self._bins = CalibrationBins()
        self._nll = NegativeLogLikelihood(floor=_HALF_STEP)
        self._sparsification = Sparsification()

    def update(
        self, mask: Array, label: Array, confidence: Array | None, uncertainty: Array | None
    ) -> float:
        """Add a frame.

        Args:
            mask: HxW uint8 class ids, 255 without prediction.
            label: HxW class ids, 255 where unknown.
            confidence: HxW uint8, probability times 255; None if it was not recorded.
            uncertainty: HxW float32, 0 to 1; None if it was not recorded.

        Returns:
            Mean IoU over the classes that this frame's label or mask has.

        Raises:
            ShapeError: Sizes differ, or the label has an id that is no class.
        """
        for name, image in (('confidence', confidence), ('uncertainty', uncertainty)):
            if image is not None and image.shape != mask.shape:
                raise ShapeError(f'{name} must be {mask.shape} as the mask; it is {image.shape}')
        added = self._confusion.update(mask, label)
        known = (label != IGNORE_INDEX) & (mask != IGNORE_INDEX)
        correct = mask == label
        if confidence is not None:
            self._add_confidence(confidence[known], correct[known])
        if uncertainty is not None:
            known &= ~np.isnan(uncertainty)
            self._sparsification.update(uncertainty[known], ~correct[known])
        self.frames += 1
        return metrics_from_counts(added).miou_nanmean

    def _add_confidence(self, levels: Array, correct: Array) -> None:
        """Add pixels by their 256 confidence levels, which are all there is to tell them apart."""
        pixels = np.bincount(levels.astype(np.intp) * 2 + correct, minlength=512).reshape(256, 2)
        for right in (False, True):
            weights = pixels[:, int(right)]
            self._bins.update(_LEVELS, np.full(256, right), weights)
            self._nll.update(_LEVELS if right else 1.0 - _LEVELS, weights)

    def scores(self) -> Scores | None:
        """Return the metrics; None before the first frame."""
        if not self.frames:
            return None
        return Scores(
            segmentation=self._confusion.compute(),
            confusion=tuple(tuple(row) for row in self._confusion.counts.tolist()),
            ece=self._bins.ece,
            nll_correct=self._nll.nll,
            reliability=self._bins.bins,
            sparsification=self._sparsification.compute(),
        )
