# SPDX-License-Identifier: Apache-2.0
"""The three steps in order."""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np

from kd_perception.backends import Backend, FrameBackend
from kd_perception.bundle import Student
from kd_perception.encodings import THERMAL_ENCODINGS
from kd_perception.errors import BackendError, ImageEncodingError
from kd_perception.frames import ByteImage, Float32Image, Frame, Image
from kd_perception.freeze import FreezeDetector
from kd_perception.pipeline.config import PipelineConfig
from kd_perception.pipeline.result import Output, Result, Timings
from kd_perception.postprocessing import (
    Prediction,
    mask_from_logits,
    prediction_from_logits,
)
from kd_perception.preprocessing import (
    Agc,
    AgcImage,
    Letterbox,
    gray_from_color,
    letterbox,
    network_input,
)
from kd_perception.row_workers import RowWorkers
from kd_perception.uncertainty import IGNORE_INDEX

_Images = tuple[ByteImage, ByteImage | None, Float32Image | None]
"""Mask, confidence and uncertainty; the latter two are None where nobody asked for them."""

_FULL_SCALES = {'uint8': (255,), 'uint16': (16383, 65535)}  # 14-bit cores saturate at 16383


class Pipeline:
    """Preprocessing, network and postprocessing in order, with the state between frames.

    The state (gain window, frozen-frame detection) depends on the order of the frames and their
    header stamps only. Not thread-safe: one frame at a time.

    Args:
        student: A verified bundle.
        backend: Its network.
        config: Camera and user settings; the defaults when None.
    """

    def __init__(
        self, student: Student, backend: Backend, config: PipelineConfig | None = None
    ) -> None:
        self.student = student
        self.backend = backend
        self._device = backend if isinstance(backend, FrameBackend) else None
        self.config = config or PipelineConfig()
        self._agc = Agc(self.config.agc, self.config.radiometry)
        self._freeze = FreezeDetector()
        self._workers = RowWorkers(backend.threads)

    def configure(self, config: PipelineConfig) -> None:
        """Use new settings from the next frame on; the gain restarts when its own change."""
        if (config.agc, config.radiometry) != (self.config.agc, self.config.radiometry):
            self._agc = Agc(config.agc, config.radiometry)
        self.config = config

    def reset(self) -> None:
        """Forget all earlier frames."""
        self._agc.reset()
        self._freeze.reset()

    def warm_up(self, iterations: int) -> None:
        """Run blank frames, so that the first real one is as quick as the others.

        Raises:
            BackendError: The network cannot run.
        """
        blank = AgcImage(np.zeros(self.student.spec.image_size, np.uint16), 0.0, 1.0)
        for _ in range(iterations):
            self._predict(blank)

    def step(self, frame: Frame, outputs: Output = Output.ALL) -> Result:
        """Run one frame.

        Args:
            frame: A thermal image; color only when the settings allow it.
            outputs: The results that are wanted. Without any of ``PREDICTION`` the network does
                not run and the mask is 255 everywhere.

        Raises:
            KdPerceptionError: The frame cannot be used. The state is as it was, or as after the
                frame where only the network failed.
        """
        start = perf_counter()
        image = self._thermal_image(frame)
        letterbox((image.shape[0], image.shape[1]), self.student.spec.image_size)
        seen = self._agc(image, frame.stamp_ns)
        frozen = self._freeze.is_frozen(frame, self.config.freeze)
        if self._freeze.thawed:
            self._agc.reset()
            seen = self._agc(image, frame.stamp_ns)
        preprocess_ms = (perf_counter() - start) * 1e3
        skipped = frozen and self.config.freeze.policy != 'pass'
        if skipped or not outputs & Output.PREDICTION:
            prediction, timings = self._no_prediction(seen), Timings(preprocess_ms, 0.0, 0.0)
        else:
            prediction, timings = self._timed_prediction(seen, preprocess_ms, outputs)
        return Result(
            *prediction,
            agc_image=_byte_image(seen.gray) if outputs & Output.AGC_IMAGE else None,
            temperature=self._temperature(image) if outputs & Output.TEMPERATURE else None,
            agc_low=seen.low,
            agc_high=seen.high,
            frozen=frozen,
            held=frozen and self.config.freeze.policy == 'hold',
            saturated_share=_saturated_share(image),
            timings=timings,
        )

    def _thermal_image(self, frame: Frame) -> Image:
        if frame.encoding in THERMAL_ENCODINGS:
            return frame.image
        if self.config.allow_color_input:
            return gray_from_color(frame)
        raise ImageEncodingError(
            f'a thermal image must be {", ".join(THERMAL_ENCODINGS)}; received {frame.encoding}: '
            'use the camera topic without false color, or set allow_color_input'
        )

    def _timed_prediction(
        self, seen: AgcImage, preprocess_ms: float, outputs: Output
    ) -> tuple[_Images, Timings]:
        prediction, resize_ms, infer_ms, postprocess_ms = self._predict(seen, outputs)
        return prediction, Timings(preprocess_ms + resize_ms, infer_ms, postprocess_ms)

    def _predict(
        self, seen: AgcImage, outputs: Output = Output.PREDICTION
    ) -> tuple[_Images, float, float, float]:
        """Run the network; gives the prediction and the times of input, network and reduction."""
        start = perf_counter()
        whole = self._predict_on_device(seen)
        if whole is not None:
            return whole, 0.0, (perf_counter() - start) * 1e3, 0.0
        image, box = network_input(seen.gray, self.student.spec.image_size)
        resized = perf_counter()
        logits = self.backend.infer(image)
        inferred = perf_counter()
        if not np.isfinite(logits).all():
            raise BackendError(
                f'the network must return finite logits; {self.backend.name} in '
                f'{self.backend.precision} did not: set precision to fp32'
            )
        prediction = self._reduce(logits, box, outputs)
        moments = (start, resized, inferred, perf_counter())
        resize_ms, infer_ms, postprocess_ms = np.diff(moments) * 1e3
        return prediction, float(resize_ms), float(infer_ms), float(postprocess_ms)

    def _predict_on_device(self, seen: AgcImage) -> Prediction | None:
        """Give the raw frame to a backend that takes such; None where it must be fitted first."""
        fits = seen.image.shape == self.student.spec.image_size and seen.curve is None
        if not fits or self._device is None:
            return None
        prediction = self._device.predict(seen.image, seen.low, seen.high)
        self._drop_unsure(prediction)
        return prediction

    def _reduce(self, logits: Float32Image, box: Letterbox, outputs: Output) -> _Images:
        temperature = self.student.spec.calibration.temperature
        size = box.camera_size if self.config.output_size == 'input' else box.content_size
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

    def _no_prediction(self, seen: AgcImage) -> _Images:
        size = seen.image.shape
        if self.config.output_size == 'network':
            size = letterbox(size, self.student.spec.image_size).content_size
        return (
            np.full(size, IGNORE_INDEX, np.uint8),
            np.zeros(size, np.uint8),
            np.full(size, np.nan, np.float32),
        )

    def _temperature(self, image: Image) -> Float32Image | None:
        radiometry = self.config.radiometry
        return None if radiometry is None else radiometry.celsius_from_raw(image)


def _byte_image(gray: Float32Image) -> ByteImage:
    return (gray * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _saturated_share(image: Image) -> float:
    """Estimate the share of saturated pixels on every fourth row and column."""
    samples = image[::4, ::4]
    if image.dtype.kind == 'f':
        return float(1.0 - np.isfinite(samples).mean())
    return float(np.isin(samples, _FULL_SCALES[image.dtype.name]).mean())
