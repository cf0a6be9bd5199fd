# SPDX-License-Identifier: Apache-2.0
"""Segmentation: the three steps in order."""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np

from kd_perception.backends import Backend, FrameBackend
from kd_perception.bundle import Student
from kd_perception.frames import ByteImage, Float32Image, Frame
from kd_perception.pipeline.base import FramePipeline
from kd_perception.pipeline.camera_side import Seen, gray_image
from kd_perception.pipeline.config import PipelineConfig
from kd_perception.pipeline.result import Output, Result, Timings
from kd_perception.postprocessing import (
    Prediction,
    mask_from_logits,
    prediction_from_logits,
)
from kd_perception.preprocessing import Letterbox
from kd_perception.uncertainty import IGNORE_INDEX

_Images = tuple[ByteImage, ByteImage | None, Float32Image | None]
"""Mask, confidence and uncertainty; the latter two are None where nobody asked for them."""


class Pipeline(FramePipeline[PipelineConfig]):
    """Preprocessing, network and postprocessing in order, with the state between frames.

    Args:
        student: A verified bundle of task ``segmentation``.
        backend: Its network.
        config: Camera and user settings; the defaults when None.

    Raises:
        ConfigError: The student is of another task.
    """

    task = 'segmentation'

    def __init__(
        self, student: Student, backend: Backend, config: PipelineConfig | None = None
    ) -> None:
        super().__init__(student, backend, config or PipelineConfig())
        self._device = backend if isinstance(backend, FrameBackend) else None

    def _run_blank(self, blank: Seen) -> None:
        self._predict(blank)

    def step(self, frame: Frame, outputs: Output = Output.ALL) -> Result:
        """Run one frame.

        Args:
            frame: An image of the student's modality; color for a thermal one only when the
                settings allow it.
            outputs: The results that are wanted. Without any of ``PREDICTION`` the network does
                not run and the mask is 255 everywhere.

        Raises:
            KdPerceptionError: The frame cannot be used. The state is as it was, or as after the
                frame where only the network failed.
        """
        start = perf_counter()
        seen = self._camera.look(frame)
        preprocess_ms = (perf_counter() - start) * 1e3
        skipped = seen.frozen and self.config.freeze.policy != 'pass'
        if skipped or not outputs & Output.PREDICTION:
            prediction, timings = self._no_prediction(seen), Timings(preprocess_ms, 0.0, 0.0)
        else:
            prediction, timings = self._timed_prediction(seen, preprocess_ms, outputs)
        return Result(
            *prediction,
            agc_image=gray_image(seen) if outputs & Output.AGC_IMAGE else None,
            temperature=self._temperature(seen) if outputs & Output.TEMPERATURE else None,
            agc_low=0.0 if seen.gain is None else seen.gain.low,
            agc_high=255.0 if seen.gain is None else seen.gain.high,
            frozen=seen.frozen,
            held=seen.frozen and self.config.freeze.policy == 'hold',
            saturated_share=seen.saturated_share,
            timings=timings,
        )

    def _timed_prediction(
        self, seen: Seen, preprocess_ms: float, outputs: Output
    ) -> tuple[_Images, Timings]:
        prediction, resize_ms, infer_ms, postprocess_ms = self._predict(seen, outputs)
        return prediction, Timings(preprocess_ms + resize_ms, infer_ms, postprocess_ms)

    def _predict(
        self, seen: Seen, outputs: Output = Output.PREDICTION
    ) -> tuple[_Images, float, float, float]:
        """Run the network; gives the prediction and the times of input, network and reduction."""
        start = perf_counter()
        whole = self._predict_on_device(seen)
        if whole is not None:
            return whole, 0.0, (perf_counter() - start) * 1e3, 0.0
        image, box = self._camera.network_input(seen)
        resized = perf_counter()
        logits = self._infer(image)
        inferred = perf_counter()
        prediction = self._reduce(logits, box, outputs)
        moments = (start, resized, inferred, perf_counter())
        resize_ms, infer_ms, postprocess_ms = np.diff(moments) * 1e3
        return prediction, float(resize_ms), float(infer_ms), float(postprocess_ms)

    def _predict_on_device(self, seen: Seen) -> Prediction | None:
        """Give the raw frame to a backend that takes such; None where it must be fitted first."""
        gain = seen.gain
        fits = seen.size == self.student.spec.image_size
        if self._device is None or gain is None or gain.curve is not None or not fits:
            return None
        prediction = self._device.predict(gain.image, gain.low, gain.high)
        self._drop_unsure(prediction)
        return prediction

    def _reduce(self, logits: Float32Image, box: Letterbox, outputs: Output) -> _Images:
        temperature = self.student.spec.calibration.temperature
        size = self.output_size(box.camera_size)
        if not outputs & Output.SURENESS and self.config.min_confidence == 0:
            mask = mask_from_logits(
                logits, box, temperature=temperature, size=size, workers=self._workers
            )
            return mask, None, None
        prediction = prediction_from_logits(
            logits, box, temperature=temperature, size=size, workers=self._workers
        )
        self._drop_unsure(prediction)
        return prediction

    def _drop_unsure(self, prediction: Prediction) -> None:
        if self.config.min_confidence > 0:
            unsure = prediction.confidence < math.ceil(255 * self.config.min_confidence)
            prediction.mask[unsure] = IGNORE_INDEX
            prediction.confidence[unsure] = 0
            prediction.uncertainty[unsure] = np.nan

    def _no_prediction(self, seen: Seen) -> _Images:
        size = self.output_size(seen.size)
        return (
            np.full(size, IGNORE_INDEX, np.uint8),
            np.zeros(size, np.uint8),
            np.full(size, np.nan, np.float32),
        )

    def _temperature(self, seen: Seen) -> Float32Image | None:
        radiometry = self.config.radiometry
        if radiometry is None or seen.gain is None:
            return None
        return radiometry.celsius_from_raw(seen.image)
