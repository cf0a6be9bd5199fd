# SPDX-License-Identifier: Apache-2.0
"""Metrics of the field, in NumPy, for the bag evaluator and for training alike.

Every metric is an :class:`Accumulator`: ``update`` adds pixels or an image, ``merge`` adds another
accumulator (of another process or another part of the split), and only ``compute`` divides. So a
figure never depends on how a split was cut into batches or processes. Figures of pixels do not
depend on how it was cut into images either; boundary F, depth errors and the sparsification of
depth are means over images, as their papers define them, and do.
"""

from kd_perception.metrics.accumulator import Accumulator
from kd_perception.metrics.boundary import (
    CITYSCAPES_BOUNDS,
    DEFAULT_BOUNDS,
    BoundaryF,
    BoundaryMetrics,
    BoundaryScore,
)
from kd_perception.metrics.calibration import (
    CalibrationBin,
    CalibrationBins,
    CalibrationMetrics,
    NegativeLogLikelihood,
)
from kd_perception.metrics.depth import DepthErrors, DepthMetrics, depth_metrics
from kd_perception.metrics.depth_protocol import (
    DEPTH_PROTOCOLS,
    EIGEN_CROP,
    GARG_CROP,
    NYU_CROP,
    Crop,
    DepthProtocol,
    depth_from_inverse,
    resized,
)
from kd_perception.metrics.depth_sparsification import (
    DepthSparsification,
    DepthSparsificationMetrics,
)
from kd_perception.metrics.edge import EdgeIoU, EdgeScore
from kd_perception.metrics.segmentation import (
    ConfusionMatrix,
    PseudoLabelMatrix,
    SegmentationMetrics,
)
from kd_perception.metrics.sigma_calibration import (
    WITHIN_SIGMA,
    SigmaCalibration,
    SigmaCalibrationMetrics,
)
from kd_perception.metrics.sparsification import Sparsification, SparsificationMetrics

__all__ = [
    'CITYSCAPES_BOUNDS',
    'DEFAULT_BOUNDS',
    'DEPTH_PROTOCOLS',
    'EIGEN_CROP',
    'GARG_CROP',
    'NYU_CROP',
    'WITHIN_SIGMA',
    'Accumulator',
    'BoundaryF',
    'BoundaryMetrics',
    'BoundaryScore',
    'CalibrationBin',
    'CalibrationBins',
    'CalibrationMetrics',
    'ConfusionMatrix',
    'Crop',
    'DepthErrors',
    'DepthMetrics',
    'DepthProtocol',
    'DepthSparsification',
    'DepthSparsificationMetrics',
    'EdgeIoU',
    'EdgeScore',
    'NegativeLogLikelihood',
    'PseudoLabelMatrix',
    'SegmentationMetrics',
    'SigmaCalibration',
    'SigmaCalibrationMetrics',
    'Sparsification',
    'SparsificationMetrics',
    'depth_from_inverse',
    'depth_metrics',
    'resized',
]
