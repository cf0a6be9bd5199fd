# SPDX-License-Identifier: Apache-2.0
"""Depth: from one image to meters, with what is known of the camera."""

from __future__ import annotations

import math
from time import perf_counter
from typing import NamedTuple

import numpy as np

from kd_perception.backends import Backend
from kd_perception.bundle import Student
from kd_perception.bundle_depth import SigmaCalibration
from kd_perception.depth_postprocessing import (
    DepthLimits,
    DepthPrediction,
    depth_from_log_maps,
    relative_log_maps,
)
from kd_perception.errors import ConfigError
from kd_perception.frames import Float32Image, Frame
from kd_perception.pipeline.base import FramePipeline
from kd_perception.pipeline.camera_side import Seen
from kd_perception.pipeline.config import DepthPipelineConfig
from kd_perception.pipeline.depth_result import DepthOutput, DepthResult
from kd_perception.pipeline.result import Timings
from kd_perception.preprocessing import Letterbox, letterbox


class Scale(NamedTuple):
    """How exp(log_depth) becomes meters.

    Attributes:
        factor: What it is multiplied by; NaN where that is not known.
        focal_px: Focal length of the camera at the network's size; NaN where it is not known.
        is_assumed: The focal length is taken to be that of the training's cameras.
    """

    factor: float
    focal_px: float
    is_assumed: bool = False

    @property
    def is_metric(self) -> bool:
        """Whether the factor is known."""
        return not math.isnan(self.factor)


class DepthPipeline(FramePipeline[DepthPipelineConfig]):
    """Preprocessing, network and postprocessing of depth, with the state between frames.

    Args:
        student: A verified bundle of task ``depth``.
        backend: Its network.
        config: Camera and user settings; the defaults when None.

    Raises:
        ConfigError: The student is of another task.
    """

    task = 'depth'

    def __init__(
        self, student: Student, backend: Backend, config: DepthPipelineConfig | None = None
    ) -> None:
        super().__init__(student, backend, config or DepthPipelineConfig())
        assert student.spec.depth is not None
        self._spec = student.spec.depth

    def _run_blank(self, blank: Seen) -> None:
        image, box = self._camera.network_input(blank)
        self._reduce(self._log_maps(image), box, Scale(1.0, math.nan), DepthOutput.ALL)

    @property
    def is_metric(self) -> bool:
        """Whether the network was trained on depth in meters."""
        return self._spec.metric

    @property
    def is_unscaled(self) -> bool:
        """Whether no camera could make the depth metric: there is relative depth only."""
        mode = self.config.scale_mode
        return mode == 'none' or (mode == 'focal' and not self.is_metric)

    @property
    def uncertainty_method(self) -> str:
        """Where sigma comes from."""
        chosen = self.config.uncertainty_method
        return self._spec.uncertainty_method if chosen == 'bundle' else chosen

    @property
    def is_calibrated(self) -> bool:
        """Whether the student's calibration of sigma is for the method in use."""
        return self.uncertainty_method == self._spec.uncertainty_method

    def step(
        self,
        frame: Frame,
        outputs: DepthOutput = DepthOutput.ALL,
        *,
        focal_px: float | None = None,
    ) -> DepthResult:
        """Run one frame.

        Args:
            frame: An image of the student's modality.
            outputs: The results that are wanted; without any the network does not run.
            focal_px: Horizontal focal length of the camera at the size of the frame [px]; None
                where it is not known.

        Raises:
            KdPerceptionError: The frame cannot be used. The state is as it was, or as after the
                frame where only the network failed.
        """
        start = perf_counter()
        seen = self._camera.look(frame)
        scale = self.scale_for(seen.size, focal_px)
        skipped = seen.frozen and self.config.freeze.policy != 'pass'
        useful = self._is_useful(outputs, scale)
        if skipped or not useful:
            prediction = self._no_prediction(seen) if useful else None
            timings = Timings((perf_counter() - start) * 1e3, 0.0, 0.0)
        else:
            prediction, timings = self._predict(seen, scale, outputs, start)
        return self._result(seen, scale, prediction, timings)

    def scale_for(self, camera_size: tuple[int, int], focal_px: float | None) -> Scale:
        """Find how the network's depth becomes meters for a camera.

        Args:
            camera_size: (height, width) of its images.
            focal_px: Horizontal focal length at that size [px]; None where it is not known.

        Raises:
            ConfigError: The focal length is not above 0.
            ShapeError: The images are too thin.
        """
        at_network = math.nan
        if focal_px is not None:
            if not 0.0 < focal_px < math.inf:
                raise ConfigError(f'a focal length must be above 0; received {focal_px} px')
            content = letterbox(camera_size, self.student.spec.image_size).content_size
            at_network = focal_px * content[1] / camera_size[1]
        mode = self.config.scale_mode
        if mode == 'fixed':
            return Scale(self.config.scale_factor, at_network)
        if mode == 'none' or not self._spec.metric:
            return Scale(math.nan, at_network)
        if math.isnan(at_network) and not self.config.require_calibration:
            return Scale(1.0, at_network, is_assumed=True)
        return Scale(at_network / self._spec.focal_px, at_network)

    def _is_useful(self, outputs: DepthOutput, scale: Scale) -> bool:
        """Tell whether anything that is wanted can be given."""
        metric = DepthOutput.DEPTH | DepthOutput.SIGMA | DepthOutput.CONFIDENCE
        return bool(outputs & (metric if scale.is_metric else DepthOutput.RELATIVE))

    def _predict(
        self, seen: Seen, scale: Scale, outputs: DepthOutput, start: float
    ) -> tuple[DepthPrediction, Timings]:
        image, box = self._camera.network_input(seen)
        resized = perf_counter()
        maps = self._log_maps(image)
        inferred = perf_counter()
        prediction = self._reduce(maps, box, scale, outputs)
        moments = (start, resized, inferred, perf_counter())
        return prediction, Timings(*(float(ms) for ms in np.diff(moments) * 1e3))

    def _log_maps(self, image: Float32Image) -> Float32Image:
        """Run the network, twice where the mirrored image tells the uncertainty."""
        maps = self._infer(image)
        if self.uncertainty_method == 'predicted':
            return relative_log_maps(maps, self._spec)
        maps = maps.copy()  # a backend's output is valid until its next call
        mirrored = self._infer(np.ascontiguousarray(image[..., ::-1]))
        return relative_log_maps(maps, self._spec, mirrored)

    def _reduce(
        self, maps: Float32Image, box: Letterbox, scale: Scale, outputs: DepthOutput
    ) -> DepthPrediction:
        metric = scale.is_metric
        calibration = self._spec.calibration if self.is_calibrated else SigmaCalibration()
        return depth_from_log_maps(
            maps,
            box,
            scale=scale.factor if metric else 1.0,
            sigma_scale=calibration.scale,
            confidence_scale=calibration.confidence_scale,
            limits=self._limits(scale),
            size=self.output_size(box.camera_size),
            with_sigma=metric and bool(outputs & DepthOutput.SIGMA),
            with_confidence=metric and bool(outputs & DepthOutput.CONFIDENCE),
            workers=self._workers,
        )

    def _limits(self, scale: Scale) -> DepthLimits:
        """Depth is finite in the range asked for, as far as the training reached it."""
        share = self.config.max_relative_uncertainty
        if not scale.is_metric:
            return DepthLimits(0.0, math.inf, share)
        low = max(self.config.min_range_m, self._spec.min_depth_m * scale.factor)
        high = min(self.config.max_range_m, self._spec.max_depth_m * scale.factor)
        return DepthLimits(low, high, share)

    def _no_prediction(self, seen: Seen) -> DepthPrediction:
        size = self.output_size(seen.size)
        unknown = np.full(size, np.nan, np.float32)
        return DepthPrediction(unknown, unknown, np.zeros(size, np.uint8))

    def _result(
        self, seen: Seen, scale: Scale, prediction: DepthPrediction | None, timings: Timings
    ) -> DepthResult:
        depth, sigma, confidence = prediction or (None, None, None)
        metric = scale.is_metric
        return DepthResult(
            size=self.output_size(seen.size),
            depth_m=depth if metric else None,
            sigma_m=sigma if metric else None,
            confidence=confidence if metric else None,
            relative_depth=None if metric else depth,
            scale=scale.factor,
            focal_px=scale.focal_px,
            is_assumed=scale.is_assumed,
            valid_ratio=0.0 if depth is None else float(np.isfinite(depth).mean()),
            frozen=seen.frozen,
            held=seen.frozen and self.config.freeze.policy == 'hold',
            saturated_share=seen.saturated_share,
            timings=timings,
        )
