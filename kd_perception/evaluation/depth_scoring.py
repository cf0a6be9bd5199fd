# SPDX-License-Identifier: Apache-2.0
"""Depth against true depth, frame by frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.depth_reduction import RELATIVE_ERROR
from kd_perception.errors import ShapeError
from kd_perception.evaluation.depth_predictions import PredictedDepth
from kd_perception.evaluation.depth_result import DepthScores
from kd_perception.frames import ByteImage, Float32Image
from kd_perception.metrics import (
    CalibrationBins,
    DepthErrors,
    DepthProtocol,
    DepthSparsification,
    SigmaCalibration,
)

Flags = npt.NDArray[np.bool_]

_LEVELS = np.arange(256) / 255.0


class DepthScorer:
    """Gathers metrics.

    Args:
        min_depth_m: Nearer true depths do not count.
        max_depth_m: Farther ones neither.
        median_scaling: Scale each prediction by the medians.
    """

    def __init__(self, min_depth_m: float, max_depth_m: float, *, median_scaling: bool) -> None:
        self.protocol = DepthProtocol(min_depth_m, max_depth_m, median_scaling=median_scaling)
        self.frames = 0
        self._errors = DepthErrors(self.protocol)
        self._sparsification = DepthSparsification(self.protocol)
        self._calibration = SigmaCalibration()
        self._bins = CalibrationBins()
        self._pixels = self._answered = self._too_near = self._too_far = 0

    def update(self, prediction: PredictedDepth, target_m: npt.NDArray[Any]) -> float:
        """Add a frame; return its mean relative error, NaN if no pixel counts.

        Args:
            prediction: Not finite where the student does not know.
            target_m: HxW; NaN where it was not measured.

        Raises:
            ShapeError: The sizes differ.
        """
        depth, sigma_m = at_its_ends(prediction, self.protocol), prediction.sigma_m
        if target_m.shape != depth.shape:
            raise ShapeError(
                f'true depth must be of the size of the depth, {depth.shape}; received '
                f'{target_m.shape}: set output_size to input, or scale it to the camera image'
            )
        valid = self.protocol.valid(target_m)
        known = valid & ~np.isnan(depth)
        errors = self._errors.update(*masked_pair(known, depth, target_m))
        self.frames += 1
        self._pixels += int(valid.sum())
        self._answered += int(known.sum())
        finite = known & np.isfinite(prediction.depth)
        self._too_near += int(np.isneginf(prediction.depth[known]).sum())
        self._too_far += int(np.isposinf(prediction.depth[known]).sum())
        if sigma_m is not None:
            self._update_sigma(depth, target_m, sigma_m, finite & np.isfinite(sigma_m))
        if prediction.confidence is not None:
            self._update_confidence(depth[finite], target_m[finite], prediction.confidence[finite])
        return math.nan if errors is None else errors.abs_rel

    def _update_sigma(
        self,
        depth: Float32Image,
        target_m: Float32Image,
        sigma_m: Float32Image,
        known: Flags,
    ) -> None:
        order = np.where(known, sigma_m, np.float32(1.0))
        self._sparsification.update(*masked_pair(known, depth, target_m), order)
        # A sigma of 0 can only be rounding, and has no likelihood.
        least = np.finfo(np.float32).tiny
        self._calibration.update(depth[known], target_m[known], np.maximum(sigma_m[known], least))

    def _update_confidence(
        self, depth: Float32Image, target_m: Float32Image, levels: ByteImage
    ) -> None:
        """Add pixels by their 256 confidence levels, which are all there is to tell them apart."""
        right = np.abs(depth - target_m) < RELATIVE_ERROR * depth
        pixels = np.bincount(levels.astype(np.intp) * 2 + right, minlength=512).reshape(256, 2)
        for correct in (False, True):
            self._bins.update(_LEVELS, np.full(256, correct), pixels[:, int(correct)])

    def scores(self) -> DepthScores | None:
        """Return the metrics; None without a pixel that counts."""
        errors = self._errors.compute()
        if errors is None:
            return None
        return DepthScores(
            errors=errors,
            pixels=self._pixels,
            answered=self._answered / self._pixels,
            too_near=self._too_near / self._pixels,
            too_far=self._too_far / self._pixels,
            min_depth_m=self.protocol.min_depth_m,
            max_depth_m=self.protocol.max_depth_m,
            median_scaled=self.protocol.median_scaling,
            sparsification=self._sparsification.compute(),
            calibration=self._calibration.compute(),
            ece=self._bins.ece,
            reliability=self._bins.bins,
        )


def at_its_ends(prediction: PredictedDepth, protocol: DepthProtocol) -> Float32Image:
    """Take infinities for the end of the range that they stand for.

    Args:
        prediction: Of a frame.
        protocol: Its range is taken where the prediction's is not known.
    """
    depth = prediction.depth
    for infinite, told_m, else_m in (
        (-np.inf, prediction.min_m, protocol.min_depth_m),
        (np.inf, prediction.max_m, protocol.max_depth_m),
    ):
        end_m = np.float32(else_m if math.isnan(told_m) else told_m)
        depth = np.where(depth == infinite, end_m, depth)
    return depth


def masked_pair(
    known: Flags, depth: Float32Image, target_m: Float32Image
) -> tuple[Float32Image, Float32Image]:
    """Leave out pixels of depth and true depth, in the way that the metrics understand."""
    one, zero = np.float32(1.0), np.float32(0.0)
    return np.where(known, depth, one), np.where(known, target_m, zero)
