# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a depth map are scored, and what is done to a prediction before that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, ShapeError

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Networks of the Monodepth2 line are trained with a stereo baseline of 0.1 units; that of the
# KITTI car is 0.54 m.
STEREO_SCALE = 5.4


class Crop(NamedTuple):
    """The part of an image that is scored, as fractions of its height and width.

    Products are cut to whole pixels, as the reference implementations do; the fractions carry
    enough digits that the cut is right at the sizes of their sets.
    """

    top: float
    bottom: float
    left: float
    right: float

    def slices(self, size: Sequence[int]) -> tuple[slice, slice]:
        """Return rows and columns of an image of (height, width)."""
        height, width = size
        return (
            slice(int(self.top * height), int(self.bottom * height)),
            slice(int(self.left * width), int(self.right * width)),
        )


# R. Garg et al., Unsupervised CNN for Single View Depth Estimation, ECCV 2016.
GARG_CROP = Crop(0.40810811, 0.99189189, 0.03594771, 0.96405229)
# D. Eigen et al., NIPS 2014, as C. Godard et al., CVPR 2017, reconstructed it.
EIGEN_CROP = Crop(0.3324324, 0.91351351, 0.0359477, 0.96405229)
# Rows 45 to 470 and columns 41 to 600 of 480x640; half a pixel more survives the rounding down.
NYU_CROP = Crop(45.5 / 480, 471.5 / 480, 41.5 / 640, 601.5 / 640)


class DepthPixels(NamedTuple):
    """What is compared, in one order.

    Attributes:
        prediction_m: float64 (N,), scaled and clamped.
        target_m: float64 (N,).
        valid: bool HxW, where they come from.
    """

    prediction_m: Floats
    target_m: Floats
    valid: Flags


@dataclass(frozen=True)
class DepthProtocol:
    """How a predicted depth map is compared with a measured one.

    Args:
        min_depth_m: Predictions are clamped to at least this.
        max_depth_m: Predictions are clamped to at most this.
        cap_target: Whether only targets strictly between both depths count; otherwise all that
            are above 0.
        crop: Part of the image that counts; None for all.
        median_scaling: Whether each prediction is multiplied by the ratio of the medians of target
            and prediction over its valid pixels, for networks that know no scale.
        scale: Factor of every prediction, applied first.

    Raises:
        ConfigError: A depth or the scale is out of range.

    Reference:
        C. Godard, O. Mac Aodha, M. Firman, G. Brostow, Digging Into Self-Supervised Monocular
        Depth Estimation (Monodepth2), ICCV 2019.
    """

    min_depth_m: float = 1.0e-3
    max_depth_m: float = 80.0
    cap_target: bool = True
    crop: Crop | None = None
    median_scaling: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 < self.min_depth_m < self.max_depth_m < float('inf'):
            raise ConfigError(
                'depths must satisfy 0 < min_depth_m < max_depth_m; received '
                f'{self.min_depth_m} and {self.max_depth_m}'
            )
        if not 0 < self.scale < float('inf'):
            raise ConfigError(f'scale must be above 0; received {self.scale}')

    def valid(self, target_m: Array) -> Flags:
        """Return where an HxW target counts."""
        counted = np.isfinite(target_m) & (target_m > 0)
        if self.cap_target:
            counted &= (target_m > self.min_depth_m) & (target_m < self.max_depth_m)
        if self.crop is not None:
            inside = np.zeros_like(counted)
            inside[self.crop.slices(counted.shape)] = True
            counted &= inside
        return counted

    def pixels(self, prediction_m: Array, target_m: Array) -> DepthPixels:
        """Select the pixels that count; scale and clamp the prediction.

        Args:
            prediction_m: HxW depth; 0 and infinity are clamped, NaN is not allowed where the
                target counts.
            target_m: HxW depth; 0, NaN and infinity are no measurement.

        Raises:
            ShapeError: No two float images of one size, or the prediction cannot be scaled.
        """
        _check_images(prediction_m, target_m)
        valid = self.valid(target_m)
        target = target_m[valid].astype(np.float64)
        prediction = prediction_m[valid].astype(np.float64) * self.scale
        if np.isnan(prediction).any():
            raise ShapeError(
                'prediction must not be NaN where the target is valid; received '
                f'{np.count_nonzero(np.isnan(prediction))} NaN of {prediction.size} pixels'
            )
        if self.median_scaling and prediction.size:
            prediction *= _median_ratio(prediction, target)
        return DepthPixels(prediction.clip(self.min_depth_m, self.max_depth_m), target, valid)


_KITTI_EIGEN = DepthProtocol(crop=GARG_CROP)
# The improved ground truth counts wherever it is, beyond 80 m too.
_KITTI_BENCHMARK = DepthProtocol(cap_target=False)

DEPTH_PROTOCOLS = {
    'kitti_eigen': _KITTI_EIGEN,
    'kitti_eigen_mono': replace(_KITTI_EIGEN, median_scaling=True),
    'kitti_eigen_stereo': replace(_KITTI_EIGEN, scale=STEREO_SCALE),
    'kitti_eigen_benchmark': _KITTI_BENCHMARK,
    'kitti_eigen_benchmark_mono': replace(_KITTI_BENCHMARK, median_scaling=True),
    'kitti_eigen_benchmark_stereo': replace(_KITTI_BENCHMARK, scale=STEREO_SCALE),
    'nyu': DepthProtocol(max_depth_m=10.0, crop=NYU_CROP),
    # Its depth is cut at 80 m: what lies there is not measured.
    'world': DepthProtocol(),
    'world_mono': DepthProtocol(median_scaling=True),
}


def resized(values: Array, size: Sequence[int]) -> Array:
    """Resize an HxW float image bilinearly, without smoothing, as the reference code does.

    Args:
        values: Disparity, inverse depth or uncertainty.
        size: Height and width wanted.

    Raises:
        ShapeError: No float image, or the size is not positive.
    """
    if values.ndim != 2 or not values.size or values.dtype.kind != 'f':
        raise ShapeError(f'values must be HxW floats; received {values.dtype} {values.shape}')
    height, width = size
    if height < 1 or width < 1:
        raise ShapeError(f'size must be at least 1x1; received {height}x{width}')
    # Half precision is beyond OpenCV.
    image = values if values.dtype == np.float64 else values.astype(np.float32)
    return np.asarray(cv2.resize(image, (int(width), int(height)), interpolation=cv2.INTER_LINEAR))


def depth_from_inverse(inverse_depth: Array, size: Sequence[int]) -> Array:
    """Bring a predicted inverse depth to the size of the target, then turn it into depth [m].

    In this order: it is the inverse depth that Monodepth2 and its followers interpolate.

    Args:
        inverse_depth: HxW [1/m], or in units of the network if the protocol scales; at least 0.
        size: Height and width of the target.

    Returns:
        Depth, infinite where the inverse depth is 0.

    Raises:
        ShapeError: No float image, or a value is negative or NaN.
    """
    image = resized(inverse_depth, size)
    if not image.min() >= 0:
        raise ShapeError(f'inverse depth must be at least 0, not NaN; received {image.min()}')
    with np.errstate(divide='ignore'):
        return 1.0 / image


def _check_images(prediction_m: Array, target_m: Array) -> None:
    if prediction_m.ndim != 2 or prediction_m.shape != target_m.shape:
        raise ShapeError(
            f'prediction and target must be HxW of one size; received {prediction_m.shape} and '
            f'{target_m.shape}: depth_from_inverse brings a prediction to the size of the target'
        )
    if prediction_m.dtype.kind != 'f' or target_m.dtype.kind != 'f':
        raise ShapeError(
            f'depths must be floats in meters; received {prediction_m.dtype} and {target_m.dtype}'
        )


def _median_ratio(prediction: Floats, target: Floats) -> float:
    median = float(np.median(prediction))
    if not 0 < median < float('inf'):
        raise ShapeError(
            f'the median of a prediction must be above 0 to scale it; received {median}'
        )
    return float(np.median(target)) / median
