# SPDX-License-Identifier: Apache-2.0
"""Depth to be evaluated: made here by the pipeline, or published by a live node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kd_perception.evaluation.predictions import Replay
from kd_perception.evaluation.recorded_predictions import RecordedOutputs
from kd_perception.frames import ByteImage, Float32Image, Frame
from kd_perception.pipeline import DepthPipeline, DepthResult
from kd_perception.replay_answers import DepthAnswers


@dataclass(frozen=True)
class PredictedDepth:
    """What is known of one frame.

    Attributes:
        depth: HxW float32, in meters or without unit; not finite where it is not known.
        is_metric: Whether it is in meters.
        sigma_m: HxW float32, standard deviation [m]; None if there is none.
        confidence: HxW uint8, 255 * P(relative error below 10 %); None if there is none.
        scale: What the network's depth was multiplied by; NaN if not known.
        min_m: Minus infinity says that the depth is smaller than this [m]; NaN if not known.
        max_m: Infinity says that it is larger than this [m]; NaN if not known.
        latency_ms: NaN if not known.
    """

    depth: Float32Image
    is_metric: bool
    sigma_m: Float32Image | None = None
    confidence: ByteImage | None = None
    scale: float = math.nan
    min_m: float = math.nan
    max_m: float = math.nan
    latency_ms: float = math.nan


class DepthReplay(Replay[PredictedDepth]):
    """Gives the depth of a pipeline.

    Args:
        pipeline: Fresh or reset.
        answers: Runs it with what the recording knows of its camera.
    """

    def __init__(self, pipeline: DepthPipeline, answers: DepthAnswers) -> None:
        super().__init__(pipeline)
        self._answers = answers

    def _step(self, frame: Frame, header: Any) -> DepthResult:
        return self._answers.step(frame, header)

    def _prediction(self, result: DepthResult) -> PredictedDepth:
        return predicted_depth(result)


def predicted_depth(result: DepthResult) -> PredictedDepth:
    """Take what is to be evaluated from a result of which all outputs were asked for."""
    depth = result.depth_m if result.is_metric else result.relative_depth
    assert depth is not None
    return PredictedDepth(
        depth,
        result.is_metric,
        result.sigma_m,
        result.confidence,
        result.scale,
        result.min_m,
        result.max_m,
        sum(result.timings),
    )


def _recorded_depth(
    images: dict[str, Any], latency_ms: float, told: Mapping[str, float]
) -> PredictedDepth:
    if 'depth/image' not in images:
        return PredictedDepth(images['relative_depth/image'], False, latency_ms=latency_ms)
    return PredictedDepth(
        images['depth/image'],
        True,
        images.get('depth/uncertainty'),
        images.get('depth/confidence'),
        told.get('scale', math.nan),
        told.get('min_m', math.nan),
        told.get('max_m', math.nan),
        latency_ms,
    )


DEPTH_OUTPUTS = RecordedOutputs(
    (('depth/image', 'depth/uncertainty', 'depth/confidence'), ('relative_depth/image',)),
    {
        'depth/image': 'float32',
        'depth/uncertainty': 'float32',
        'depth/confidence': 'uint8',
        'relative_depth/image': 'float32',
    },
    _recorded_depth,
)
