# SPDX-License-Identifier: Apache-2.0
"""Predictions to be evaluated, and those made here by the pipeline."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from kd_perception.errors import KdPerceptionError
from kd_perception.evaluation.result import Counts, Latency, Percentiles
from kd_perception.frames import ByteImage, Float32Image, Frame
from kd_perception.pipeline import FramePipeline, Output, Pipeline, Result, Timings


@dataclass(frozen=True)
class Prediction:
    """What is known of one frame.

    Attributes:
        mask: HxW uint8.
        confidence: HxW uint8; None if it was not recorded.
        uncertainty: HxW float32; None if it was not recorded.
        gray: HxW uint8, what the network saw; None if not at hand.
        latency_ms: NaN if not known.
    """

    mask: ByteImage
    confidence: ByteImage | None = None
    uncertainty: Float32Image | None = None
    gray: ByteImage | None = None
    latency_ms: float = math.nan


SomePrediction = TypeVar('SomePrediction')
GivenPrediction = TypeVar('GivenPrediction', covariant=True)


class Predictor(Protocol[GivenPrediction]):
    """Gives predictions in the order of the source's images, then tells about the whole."""

    mode: str

    @property
    def failures(self) -> list[str]:
        """Why frames or outputs could not be used, one reason each."""

    @property
    def model_sha256(self) -> frozenset[str]:
        """Hashes of the students that a live node ran; empty if it did not tell."""

    def predict(self, frame: Frame, header: Any) -> GivenPrediction | None:
        """Return the prediction for a frame, whose message has that header; None without one."""

    def complete(self, counts: Counts) -> Counts:
        """Add what became of the frames."""

    def latency(self) -> Latency:
        """Return the times."""

    def environment(self) -> dict[str, str]:
        """Return what ran."""


class Replay(ABC, Generic[SomePrediction]):
    """Runs a pipeline on each frame.

    Args:
        pipeline: Fresh or reset.
    """

    mode = 'replay'
    model_sha256: frozenset[str] = frozenset()

    def __init__(self, pipeline: FramePipeline[Any]) -> None:
        self._backend = pipeline.backend
        self._timings: list[Timings] = []
        self._held = 0
        self.failures: list[str] = []

    @abstractmethod
    def _step(self, frame: Frame, header: Any) -> Any:
        """Run one frame."""

    @abstractmethod
    def _prediction(self, result: Any) -> SomePrediction | None:
        """Return what is evaluated of a result; None if there is nothing."""

    def predict(self, frame: Frame, header: Any) -> SomePrediction | None:
        """Run one frame; one that cannot be used is counted and has no prediction."""
        try:
            result = self._step(frame, header)
        except KdPerceptionError as error:
            self.failures.append(str(error))
            return None
        if result.held:
            self._held += 1
            return None
        self._timings.append(result.timings)
        return self._prediction(result)

    def complete(self, counts: Counts) -> Counts:
        """Add what became of the frames; held ones are those dropped."""
        failed = counts.frames - counts.predicted - self._held
        return replace(
            counts,
            received=counts.frames,
            published=counts.predicted,
            dropped=self._held,
            failed=failed,
        )

    def latency(self) -> Latency:
        """Return the wall time of the pipeline."""
        stages = {
            name.removesuffix('_ms'): Percentiles.of([getattr(t, name) for t in self._timings])
            for name in Timings._fields
        }
        total = Percentiles.of([sum(timings) for timings in self._timings])
        return Latency('pipeline in process, without middleware', total, stages)

    def environment(self) -> dict[str, str]:
        """Return the backend in use."""
        backend = self._backend
        text = f'{backend.name} {backend.precision} on {backend.device}, {backend.threads} threads'
        return {'backend': text}


class ReplayPredictor(Replay[Prediction]):
    """Gives the masks of a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self._pipeline = pipeline

    def _step(self, frame: Frame, header: Any) -> Result:
        return self._pipeline.step(frame, Output.PREDICTION | Output.AGC_IMAGE)

    def _prediction(self, result: Result) -> Prediction:
        return Prediction(
            result.mask,
            result.confidence,
            result.uncertainty,
            result.agc_image,
            sum(result.timings),
        )
