# SPDX-License-Identifier: Apache-2.0
"""Ways from a raw frame to the bytes of messages: our own, and the usual ones."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from kd_perception.backends import Backend, create_backend
from kd_perception.bench.frames import network_input_of
from kd_perception.bundle import Student
from kd_perception.bundle_depth import DepthSpec
from kd_perception.depth_postprocessing import DepthPrediction
from kd_perception.encodings import buffer_from_image
from kd_perception.frames import Float32Image, Frame, Image
from kd_perception.pipeline import (
    DepthOutput,
    DepthPipeline,
    DepthPipelineConfig,
    Output,
    Pipeline,
    PipelineConfig,
    Timings,
)
from kd_perception.postprocessing import Prediction

Told = Prediction | DepthPrediction
"""What a student says about a frame: three images."""

_PERIOD_NS = 33_333_333


class StageTimes(NamedTuple):
    """Wall time of one frame and of its stages [ms].

    Attributes:
        preprocess: gain control and what else comes before the network.
        network: from network input to logits or maps.
        postprocess: from there to the three images at the frame's size.
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

    prediction: Told
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
        """Run one frame of the kind and the size that the student expects."""


class PipelineStack:
    """What the node runs: the `step` of the task's pipeline on one of the backends.

    Depth is told in meters, with the sigma that the network predicts.

    Args:
        student: a verified bundle.
        backend: its network.
    """

    def __init__(self, student: Student, backend: Backend) -> None:
        self.name = f'{backend.name}_{backend.precision}'
        self.what = f'kd_perception, {backend.name} {backend.precision} {backend.device}'
        self._encoding = 'rgb8' if student.spec.input.modality == 'rgb' else 'mono16'
        self._step = _STEPS[student.spec.task](student, backend)
        self._stamps = count(1)

    def answer(self, image: Image) -> Answer:
        """Run one frame of a camera at 30 Hz; see `Stack`."""
        frame = Frame(image, self._encoding, next(self._stamps) * _PERIOD_NS)
        start = perf_counter()
        prediction, timings = self._step(frame)
        answered = perf_counter()
        pack(prediction)
        end = perf_counter()
        stages = (*timings, 1e3 * (end - answered))
        return Answer(prediction, StageTimes(*stages, 1e3 * (end - start)))


Step = Callable[[Frame], tuple[Told, Timings]]


def _segmentation_step(student: Student, backend: Backend) -> Step:
    pipeline = Pipeline(student, backend, PipelineConfig(agc=student.spec.agc))

    def step(frame: Frame) -> tuple[Prediction, Timings]:
        result = pipeline.step(frame, Output.PREDICTION)
        return result.prediction, result.timings

    return step


def _depth_step(student: Student, backend: Backend) -> Step:
    config = DepthPipelineConfig(
        agc=student.spec.agc, scale_mode='fixed', uncertainty_method='predicted'
    )
    pipeline = DepthPipeline(student, backend, config)

    def step(frame: Frame) -> tuple[DepthPrediction, Timings]:
        result = pipeline.step(frame, DepthOutput.PREDICTION)
        assert result.depth_m is not None
        told = DepthPrediction(result.depth_m, result.sigma_m, result.confidence)
        return told, result.timings

    return step


_STEPS = {'segmentation': _segmentation_step, 'depth': _depth_step}


class StagedStack:
    """Three functions in a row, timed one by one: how the baselines are written.

    Args:
        name: see `Stack`.
        what: see `Stack`.
        preprocess: frame to network input [1, channels, height, width].
        network: network input to what the network says [1, maps, h, w], arrays of any kind.
        postprocess: that to a prediction.
    """

    def __init__(
        self,
        name: str,
        what: str,
        preprocess: Callable[[Image], Float32Image],
        network: Callable[[Float32Image], Any],
        postprocess: Callable[[Any], Told],
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
    """Baseline C: whole images in NumPy and OpenCV around ONNX Runtime in fp32."""
    backend = create_backend(
        student, backend='onnxruntime', device='cpu', precision='fp32', threads=threads
    )
    spec = student.spec

    def postprocess(maps: Float32Image) -> Told:
        if spec.depth is not None:
            return numpy_depth(maps, spec.image_size, spec.depth)
        return numpy_prediction(maps, spec.image_size, spec.calibration.temperature)

    what = f'{usual_input_name(student)}, ONNX Runtime fp32, NumPy'
    return StagedStack('C', what, network_input_of(student), backend.infer, postprocess)


def usual_input_name(student: Student) -> str:
    """What comes before the network in the usual ways, for people."""
    return 'NumPy' if student.spec.input.modality == 'rgb' else 'np.percentile'


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


def numpy_depth(maps: Float32Image, size: tuple[int, int], spec: DepthSpec) -> DepthPrediction:
    """Scale both maps up with OpenCV and make depth, sigma and confidence of them with NumPy."""
    log_depth, log_sigma = (cv2.resize(plane, size[::-1]) for plane in maps[0])
    depth, share = np.exp(log_depth), np.exp(log_sigma)
    if spec.sigma_unit == 'meter':
        share /= depth
    low, high = depth_range_m(spec)
    told = np.where(depth > high, np.inf, np.where(depth < low, -np.inf, depth))
    known = np.isfinite(told)
    sigma = np.where(known, math.sqrt(2.0) * spec.calibration.scale * share * depth, np.nan)
    sure = -np.expm1(-0.1 / (spec.calibration.confidence_scale * share))
    confidence = np.where(known, np.rint(255.0 * sure), 0.0).astype(np.uint8)
    return DepthPrediction(told.astype(np.float32), sigma.astype(np.float32), confidence)


def depth_range_m(spec: DepthSpec) -> tuple[float, float]:
    """The depths that the node tells by its defaults [m], others being infinite."""
    limits = DepthPipelineConfig()
    return max(limits.min_range_m, spec.min_depth_m), min(limits.max_range_m, spec.max_depth_m)


def pack(prediction: Told) -> list[array.array[int]]:
    """The bytes of the three images, held as rclpy takes them without a check per element."""
    packed = []
    for image in prediction:
        assert image is not None  # all three were asked for
        data = array.array('B')
        data.frombytes(buffer_from_image(image)[0])
        packed.append(data)
    return packed
