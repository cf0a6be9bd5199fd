# SPDX-License-Identifier: Apache-2.0
"""Pictures of depth for people: camera, true depth, depth, error, sigma."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.depth_colors import colored_depth
from kd_perception.encodings import COLOR_ENCODINGS
from kd_perception.evaluation.depth_evaluator import EvaluatedDepth
from kd_perception.evaluation.depth_predictions import PredictedDepth
from kd_perception.evaluation.depth_result import DepthFrameRecord
from kd_perception.evaluation.depth_scoring import at_its_ends, masked_pair
from kd_perception.evaluation.report_images import color_from_uncertainty
from kd_perception.frames import ByteImage, Float32Image, Frame
from kd_perception.metrics import DepthProtocol
from kd_perception.preprocessing import Agc, AgcConfig, rgb_from_frame

WORST_SHARE = 0.3
"""Errors and sigmas of this share of the depth, and larger ones, have the brightest color."""

_SPARSE = 0.3  # share of the cells; points of fewer are drawn larger
_ENDS = (2.0, 98.0)  # percentiles of the depth that get the first and the last color


class DepthPanels(NamedTuple):
    """One frame as people see it, all HxWx3 uint8 RGB of one size.

    Attributes:
        camera: The camera image.
        target: True depth; None where there is none.
        depth: Prediction.
        error: Relative error, black for none; gray without true depth. None without any.
        sigma: Standard deviation as a share of the depth, in the colors of the error; None where
            there is none.
    """

    camera: ByteImage
    target: ByteImage | None
    depth: ByteImage
    error: ByteImage | None
    sigma: ByteImage | None


class DepthPainter:
    """Makes panels of evaluated frames; the colors of depth are those of the first frame's range.

    Args:
        protocol: Range of the depths that count.

    Attributes:
        ends_m: Depths of the first and the last color; None before the first frame.
    """

    largest_is_worst = True

    def __init__(self, protocol: DepthProtocol) -> None:
        self._protocol = protocol
        self._agc = Agc(AgcConfig())
        self.ends_m: tuple[float, float] | None = None

    def figure(self, record: DepthFrameRecord) -> float:
        """Return how wrong the depth is."""
        return record.abs_rel

    def pictures(self, evaluated: EvaluatedDepth, width: int) -> DepthPanels:
        """Draw a frame, scaled to a width [px]; the height is even."""
        prediction, target = evaluated.prediction, evaluated.label
        depth = prediction.depth
        if target is not None and target.shape != depth.shape:
            target = None
        size = (width, max(2, 2 * round(width * depth.shape[0] / depth.shape[1] / 2)))
        low, high = self._ends(depth if target is None else target)
        share = None
        if prediction.sigma_m is not None:
            with np.errstate(invalid='ignore'):
                share = prediction.sigma_m / depth
        return DepthPanels(
            self._camera(evaluated.frame, size),
            None if target is None else colored_depth(pooled(target, size), low, high),
            colored_depth(_nearest(depth, size), low, high),
            None if target is None else _share_picture(self._error(prediction, target), size),
            None if share is None else _share_picture(share, size),
        )

    def _camera(self, frame: Frame, size: tuple[int, int]) -> ByteImage:
        if frame.encoding in COLOR_ENCODINGS:
            image: npt.NDArray[Any] = rgb_from_frame(frame)
        else:
            gray = (self._agc(frame.image, frame.stamp_ns).gray * 255).astype(np.uint8)
            image = np.repeat(gray[:, :, None], 3, axis=2)
        shrinks = size[0] < image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.ascontiguousarray(cv2.resize(image, size, interpolation=method), np.uint8)

    def _ends(self, depth: Float32Image) -> tuple[float, float]:
        """Choose the range of the colors by the first frame that has any depth."""
        if self.ends_m is None:
            known = depth[np.isfinite(depth) & (depth > 0)]
            if not known.size:
                return self._protocol.min_depth_m, self._protocol.max_depth_m
            low, high = np.percentile(known, _ENDS).tolist()
            self.ends_m = low, max(high, 1.1 * low)
        return self.ends_m

    def _error(self, prediction: PredictedDepth, target: Float32Image) -> Float32Image:
        """Compute relative errors as the metrics do; NaN where none counts."""
        depth = at_its_ends(prediction, self._protocol)
        known = self._protocol.valid(target) & ~np.isnan(depth)
        pixels = self._protocol.pixels(*masked_pair(known, depth, target))
        error = np.full(depth.shape, np.nan, np.float32)
        error[pixels.valid] = np.abs(pixels.prediction_m - pixels.target_m) / pixels.target_m
        return error


def pooled(values: Float32Image, size: tuple[int, int]) -> Float32Image:
    """Scale an image with gaps: each cell has the mean of the values in it, NaN without any.

    Points that few cells have are drawn larger, so that they can be seen.

    Args:
        values: HxW; NaN for gaps.
        size: (width, height) of the result [px].
    """
    if size[0] >= values.shape[1]:
        small = _nearest(values, size)
    else:
        small = _mean_of_known(values, lambda image: cv2.resize(image, size, None, 0, 0,
                                                                 cv2.INTER_AREA))  # fmt: skip
    gaps = np.isnan(small)
    if gaps.mean() > 1.0 - _SPARSE:
        small[gaps] = _mean_of_known(small, lambda image: cv2.blur(image, (3, 3)))[gaps]
    return small


def _mean_of_known(values: Float32Image, average: Any) -> Float32Image:
    known = ~np.isnan(values)
    weight = average(known.astype(np.float32))
    total = average(np.where(known, values, np.float32(0.0)))
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(weight > 1.0e-6, total / weight, np.float32(np.nan)).astype(np.float32)


def _share_picture(share: Float32Image, size: tuple[int, int]) -> ByteImage:
    levels = np.clip(pooled(share, size) / np.float32(WORST_SHARE), 0.0, 1.0)
    return color_from_uncertainty(levels, size)


def _nearest(image: Float32Image, size: tuple[int, int]) -> Float32Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.float32)
