# SPDX-License-Identifier: Apache-2.0
"""Evaluate the depth of a recording: metrics, per-frame hashes, counts and times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from kd_perception.bags import BagReader
from kd_perception.bundle import Student
from kd_perception.errors import BagError
from kd_perception.evaluation.depth_predictions import DEPTH_OUTPUTS, DepthReplay, PredictedDepth
from kd_perception.evaluation.depth_result import (
    DepthEvaluation,
    DepthFrameRecord,
    depth_student_summary,
)
from kd_perception.evaluation.depth_scoring import DepthScorer
from kd_perception.evaluation.depth_targets import depth_targets
from kd_perception.evaluation.environment import environment_versions
from kd_perception.evaluation.evaluator import opened
from kd_perception.evaluation.gathering import Evaluated, Gathering
from kd_perception.evaluation.labels import Label, LabelKind, labeled, stamps_of
from kd_perception.evaluation.predictions import Predictor
from kd_perception.evaluation.recorded_predictions import RecordedPredictor
from kd_perception.evaluation.result import Source, array_sha256
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from kd_perception.replay_answers import (
    BESIDE_THE_IMAGES,
    CalibrationSource,
    DepthAnswers,
    RecordedCalibration,
)

EvaluatedDepth: TypeAlias = Evaluated[DepthFrameRecord, PredictedDepth]
Observer = Callable[[EvaluatedDepth], None]


def evaluate_depth_bag(
    bag: Path | str,
    student: Student,
    *,
    pipeline: DepthPipeline | None = None,
    predictions: Path | str | None = None,
    config: DepthPipelineConfig | None = None,
    image_topic: str = '',
    depth_topic: str = '',
    depths: Path | None = None,
    targets: LabelKind | None = None,
    camera_info: CalibrationSource = BESIDE_THE_IMAGES,
    observers: Sequence[Observer] = (),
    progress: bool = False,
) -> DepthEvaluation:
    """Evaluate the depth of a drive.

    Messages that are damaged are counted as failed and told; the rest goes on.

    Args:
        bag: Recording with the images and their camera_info.
        student: Whose depth it is.
        pipeline: Runs on each frame, as a replay does; give this or ``predictions``.
        predictions: Recording of a live node's outputs, joined with ``bag`` by header stamp; may
            be the same recording.
        config: For the range of depths that count, where there is no pipeline.
        image_topic: Topic of the images; empty finds the only one.
        depth_topic: Topic with true depth, dense or sparse; empty looks for ``depth`` near the
            images.
        depths: Folder with true depth instead; see :func:`labels.labeled_by_folder`.
        targets: How true depth is read; millimeters where None.
        camera_info: Where the calibration of the camera is.
        observers: Called with each frame that has depth.
        progress: Show a progress bar on standard error.

    Raises:
        BagError: A recording cannot be read, lacks a topic, or shares no stamp with the other.
        ShapeError: True depth does not fit the depth in size.
        ImageEncodingError: True depth is not that.
    """
    kind = targets or depth_targets()
    with BagReader(bag) as source, opened(predictions) as recording:
        image_topic = image_topic or source.image_topic()
        total = source.topic(image_topic).message_count
        pairs, origin = labeled(source, image_topic, depth_topic, depths, kind)
        described = Source(source.path.name, image_topic, origin)
        predictor, unscaled = _predictor(pipeline, recording, source, described, camera_info)
        config = pipeline.config if pipeline is not None else config or DepthPipelineConfig()
        scorer = DepthScorer(config.min_range_m, config.max_range_m, median_scaling=unscaled)
        gathering = DepthGathering(scorer, observers)
        gathering.take_all(source, pairs, predictor, total=total, progress=progress)
    described = gathering.describe(described)
    counts = gathering.counts(predictor)
    notes = gathering.notes(described, predictor, counts, student.sha256)
    return DepthEvaluation(
        mode=predictor.mode,
        source=described,
        student=depth_student_summary(student),
        counts=counts,
        scores=scorer.scores(),
        latency=predictor.latency(),
        frames=tuple(gathering.records),
        environment=environment_versions() | predictor.environment(),
        notes=(*notes, *gathering.depth_notes(), *_sigma_note(pipeline)),
    )


def _predictor(
    pipeline: DepthPipeline | None,
    recording: BagReader | None,
    bag: BagReader,
    source: Source,
    camera_info: CalibrationSource,
) -> tuple[Predictor[PredictedDepth], bool]:
    """What predicts, and whether none of it is in meters."""
    if (pipeline is None) == (recording is None):
        raise BagError('Give either a pipeline or a recording of predictions.')
    if pipeline is not None:
        calibration = RecordedCalibration(bag, source.image_topic, camera_info)
        answers = DepthAnswers(pipeline, calibration, source.image_topic)
        return DepthReplay(pipeline, answers), pipeline.is_unscaled
    assert recording is not None
    stamps = stamps_of(bag, source.image_topic)
    recorded = RecordedPredictor(recording, stamps, DEPTH_OUTPUTS, ignored_topic=source.labels)
    return recorded, 'depth/image' not in recorded.there


class DepthGathering(Gathering[DepthFrameRecord, PredictedDepth]):
    """Gathers depth.

    Args:
        scorer: For the metrics.
        observers: Called with each frame that has depth.
    """

    def __init__(self, scorer: DepthScorer, observers: Sequence[Observer]) -> None:
        super().__init__(DepthFrameRecord, observers)
        self._scorer = scorer
        self._without_scale = 0

    @property
    def scored(self) -> int:
        """Frames that the metrics are about."""
        return self._scorer.frames

    def _score(
        self, record: DepthFrameRecord, prediction: PredictedDepth, label: Label | None
    ) -> DepthFrameRecord:
        sigma_m = prediction.sigma_m
        comparable = prediction.is_metric or self._scorer.protocol.median_scaling
        abs_rel = math.nan
        if not comparable:
            self._without_scale += 1
        elif label is not None:
            abs_rel = self._scorer.update(prediction, label)
        return replace(
            record,
            depth_sha256=array_sha256(prediction.depth),
            sigma_sha256='' if sigma_m is None else array_sha256(sigma_m),
            abs_rel=abs_rel,
            scale=prediction.scale,
            latency_ms=prediction.latency_ms,
        )

    def depth_notes(self) -> list[str]:
        """Return what a reader must know of the scale and of the true depth."""
        notes = []
        protocol = self._scorer.protocol
        if self._without_scale:
            notes.append(
                f'{self._without_scale} frames have no depth in meters and no score, because '
                'their focal length is not known: record camera_info beside the images, or set '
                'scale.mode to fixed.'
            )
        if self.scored and self._scorer.scores() is None:
            notes.append(
                f'No true depth lies between {protocol.min_depth_m:g} and '
                f'{protocol.max_depth_m:g} m where there is a prediction: there are no metrics.'
            )
        elif self.scored and protocol.median_scaling:
            notes.append('The scale is not known: each depth was scaled by the medians.')
        return notes


def _sigma_note(pipeline: DepthPipeline | None) -> list[str]:
    if pipeline is None or pipeline.is_calibrated:
        return []
    return [f'Sigma is not calibrated for {pipeline.uncertainty_method}.']
