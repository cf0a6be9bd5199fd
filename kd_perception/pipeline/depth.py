# SPDX-License-Identifier: Apache-2.0
"""Depth: from one image to meters, with what is known of the camera."""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np

from kd_perception.backends import Backend, StudentPair
from kd_perception.bundle import Student
from kd_perception.bundle_depth import SigmaCalibration
from kd_perception.depth_postprocessing import (
    DepthLimits,
    DepthPrediction,
    depth_from_log_maps,
    mutual_log_maps,
    relative_log_maps,
)
from kd_perception.errors import ConfigError
from kd_perception.frames import Float32Image, Frame
from kd_perception.pipeline.base import FramePipeline
from kd_perception.pipeline.camera_side import Seen
from kd_perception.pipeline.config import DepthPipelineConfig
from kd_perception.pipeline.depth_result import DepthOutput, DepthResult
from kd_perception.pipeline.depth_scale import Scale
from kd_perception.pipeline.result import Timings
from kd_perception.preprocessing import Letterbox, letterbox


class DepthPipeline(FramePipeline[DepthPipelineConfig]):
    """Preprocessing, network and postprocessing of depth, with the state between frames.

    Args:
        student: A verified bundle of task ``depth``.
        backend: Its network.
        config: Camera and user settings; the defaults when None.

    Raises:
        ConfigError: The student is of another task, or a second one is needed and not there.
    """

    task = 'depth'

    def __init__(
        self, student: Student, backend: Backend, config: DepthPipelineConfig | None = None
    ) -> None:
        super().__init__(student, backend, config or DepthPipelineConfig())
        assert student.spec.depth is not None
        self._spec = student.spec.depth
        self._pair = backend if isinstance(backend, StudentPair) else None
        self.check(self.config)

    def check(self, config: DepthPipelineConfig) -> None:
        """Check that there is a second student if one is needed.

        Raises:
            ConfigError: There is none.
        """
        if self._method_of(config) == 'mutual' and self._pair is None:
            raise ConfigError(
                'uncertainty.method mutual needs a bundle with a second student; '
                f'{self.student.spec.name} has none: join two (python -m training.depth_pair), or '
                'set uncertainty.method to bundle, predicted or tta_flip'
            )

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
        return self._method_of(self.config)

    def _method_of(self, config: DepthPipelineConfig) -> str:
        chosen = config.uncertainty_method
        return self._spec.uncertainty_method if chosen == 'bundle' else chosen

    @property
    def is_calibrated(self) -> bool:
        """Whether sigma of the method in use was calibrated on anything."""
        return self._has_own_method and bool(self._spec.calibration.fitted_on)

    @property
    def _has_own_method(self) -> bool:
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
        """Run the network; the second one, or the mirrored image, where that tells sigma."""
        maps = self._infer(image)
        if self.uncertainty_method == 'predicted':
            return relative_log_maps(maps, self._spec)
        if self.uncertainty_method == 'mutual':
            return self._disagreement(maps, image)
        maps = maps.copy()  # a backend's output is valid until its next call
        mirrored = self._infer(np.ascontiguousarray(image[..., ::-1]))
        return relative_log_maps(maps, self._spec, mirrored)

    def _disagreement(self, maps: Float32Image, image: Float32Image) -> Float32Image:
        second = self.student.second
        assert self._pair is not None and second is not None and second.spec.depth is not None
        assert self._spec.second is not None
        return mutual_log_maps(
            maps,
            self._finite(self._pair.infer_second(image)),
            log_ratio=math.log(self._spec.focal_px / second.spec.depth.focal_px),
            least_share=self._spec.second.least_share,
        )

    def _reduce(
        self, maps: Float32Image, box: Letterbox, scale: Scale, outputs: DepthOutput
    ) -> DepthPrediction:
        metric = scale.is_metric
        calibration = self._spec.calibration if self._has_own_method else SigmaCalibration()
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
        limits = self._limits(scale)
        return DepthResult(
            size=self.output_size(seen.size),
            depth_m=depth if metric else None,
            sigma_m=sigma if metric else None,
            confidence=confidence if metric else None,
            relative_depth=None if metric else depth,
            scale=scale.factor,
            focal_px=scale.focal_px,
            is_assumed=scale.is_assumed,
            min_m=limits.low if metric else math.nan,
            max_m=limits.high if metric else math.nan,
            valid_ratio=0.0 if depth is None else float(np.isfinite(depth).mean()),
            frozen=seen.frozen,
            held=seen.frozen and self.config.freeze.policy == 'hold',
            saturated_share=seen.saturated_share,
            timings=timings,
        )
