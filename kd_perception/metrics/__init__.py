# SPDX-License-Identifier: Apache-2.0
"""Metrics of the field, in NumPy, for the bag evaluator and for training alike.

Every metric is an accumulator: ``update`` adds pixels, ``merge`` adds another accumulator (of
another process or another part of the split), and only the result divides. So a figure never
depends on how a split was cut into images, batches or processes.
"""

from kd_perception.metrics.calibration import (
    CalibrationBin,
    CalibrationBins,
    NegativeLogLikelihood,
)
from kd_perception.metrics.segmentation import ConfusionMatrix, SegmentationMetrics
from kd_perception.metrics.sparsification import Sparsification, SparsificationMetrics

__all__ = [
    'CalibrationBin',
    'CalibrationBins',
    'ConfusionMatrix',
    'NegativeLogLikelihood',
    'SegmentationMetrics',
    'Sparsification',
    'SparsificationMetrics',
]
