# SPDX-License-Identifier: Apache-2.0
"""Ways from a raw thermal frame to the bytes of three images: our own, and the usual ones."""

from __future__ import annotations

import array
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from kd_perception.backends import Backend, create_backend
from kd_perception.bundle import Student
from kd_perception.encodings import buffer_from_image
from kd_perception.frames import Float32Image, Frame, Image
from kd_perception.pipeline import Output, Pipeline, PipelineConfig
from kd_perception.postprocessing import Prediction

_PERIOD_NS = 33_333_333


class StageTimes(NamedTuple):
    """Wall time of one frame and of its stages [ms].

    Attributes:
        preprocess: gain control and what else comes before the network.
        network: from network input to logits.
        postprocess: from logits to mask, confidence and uncertainty at the frame's size.
        pack: those three as the bytes of messages.
        whole: all of it, with what lies between the stages.
    """

    preprocess: float
    network: float
    postprocess: float
    pack: float
    whole: float


class Answer(NamedTuple):
    """What a stack says about a frame, and how long it took."""

    prediction: Prediction
    times: StageTimes


class Stack(Protocol):
    """A whole way from frame to messages.

    Attributes:
        name: short, a key of records.
        what: in a few words, for people.
    """

    name: str
    what: str

    def answer(self, image: Image) -> Answer:
        """Run one frame, HxW uint16, of the size that the student expects."""


class PipelineStack:
    """What the node runs: `Pipeline.step` on one of the backends.

    Args:
        student: a verified bundle.
        backend: its network.
    """

    def __init__(self, student: Student, backend: Backend) -> None:
        self.name = f'{backend.name}_{backend.precision}'
        self.what = f'kd_perception, {backend.name} {backend.precision} {backend.device}'
        self._pipeline = Pipeline(student, backend, PipelineConfig(agc=student.spec.agc))
        self._stamps = count(1)

    def answer(self, image: Image) -> Answer:
        """Run one frame of a camera at 30 Hz; see `Stack`."""
        frame = Frame(image, 'mono16', next(self._stamps) * _PERIOD_NS)
        start = perf_counter()
        result = self._pipeline.step(frame, Output.PREDICTION)
        answered = perf_counter()
        pack(result.prediction)
        end = perf_counter()
        stages = (*result.timings, 1e3 * (end - answered))
        return Answer(result.prediction, StageTimes(*stages, 1e3 * (end - start)))


class StagedStack:
    """Three functions in a row, timed one by one: how the baselines are written.

    Args:
        name: see `Stack`.
        what: see `Stack`.
        preprocess: frame to network input [1, 1, height, width].
        network: network input to logits [1, classes, h, w], arrays of any kind.
        postprocess: logits to prediction.
    """

    def __init__(
        self,
        name: str,
        what: str,
        preprocess: Callable[[Image], Float32Image],
        network: Callable[[Float32Image], Any],
        postprocess: Callable[[Any], Prediction],
    ) -> None:
        self.name = name
        self.what = what
        self._stages = (preprocess, network, postprocess, pack)

    def answer(self, image: Image) -> Answer:
        """Run one frame; see `Stack`."""
        value: Any = image
        moments, values = [perf_counter()], []
        for stage in self._stages:
            value = stage(value)
            values.append(value)
            moments.append(perf_counter())
        times = [*np.diff(moments), moments[-1] - moments[0]]
        return Answer(values[2], StageTimes(*(1e3 * float(time) for time in times)))


def onnx_numpy_stack(student: Student, threads: int) -> StagedStack:
    """Baseline C: exact percentiles, ONNX Runtime in fp32, OpenCV and NumPy at full size."""
    backend = create_backend(
        student, backend='onnxruntime', device='cpu', precision='fp32', threads=threads
    )

    def postprocess(logits: Float32Image) -> Prediction:
        return numpy_prediction(
            logits, student.spec.image_size, student.spec.calibration.temperature
        )

    return StagedStack(
        'C', 'np.percentile, ONNX Runtime fp32, NumPy', percentile_gray, backend.infer, postprocess
    )


def percentile_gray(image: Image) -> Float32Image:
    """Gain control as it is written first: exact percentiles 1 and 99 of every frame."""
    low, high = np.percentile(image, (1, 99))
    span = max(float(high - low), 1.0)
    gray = (image.astype(np.float32) - np.float32(low)) / np.float32(span)
    return np.ascontiguousarray(np.clip(gray, 0.0, 1.0))[None, None]


def numpy_prediction(
    logits: Float32Image, size: tuple[int, int], temperature: float
) -> Prediction:
    """Scale logits up with OpenCV and reduce them with NumPy, one logarithm per pixel."""
    planes = np.stack([cv2.resize(plane, size[::-1]) for plane in logits[0]])
    planes /= np.float32(temperature)
    mask = planes.argmax(axis=0).astype(np.uint8)
    shifted = planes - planes.max(axis=0)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=0)
    entropy = np.log(total) - (shifted * exponentials).sum(axis=0) / total
    confidence = np.rint(np.float32(255.0) / total).astype(np.uint8)
    return Prediction(mask, confidence, entropy / np.float32(np.log(len(planes))))


def pack(prediction: Prediction) -> list[array.array[int]]:
    """The bytes of the three images, held as rclpy takes them without a check per element."""
    packed = []
    for image in prediction:
        data = array.array('B')
        data.frombytes(buffer_from_image(image)[0])
        packed.append(data)
    return packed
