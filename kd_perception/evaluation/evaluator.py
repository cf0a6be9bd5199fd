# SPDX-License-Identifier: Apache-2.0
"""Evaluate a recording: metrics, per-frame hashes, counts and times.

Two modes, one function. Either the predictions are those that a live node published while its
outputs were recorded, found again by header stamp; or the pipeline runs here, on every frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from kd_perception.bags import BagReader
from kd_perception.bundle import Student
from kd_perception.errors import BagError, ShapeError
from kd_perception.evaluation.environment import environment_versions
from kd_perception.evaluation.gathering import Evaluated, Gathering
from kd_perception.evaluation.labels import Label, labeled, stamps_of
from kd_perception.evaluation.predictions import Prediction, Predictor, ReplayPredictor
from kd_perception.evaluation.recorded_predictions import MASK_OUTPUTS, RecordedPredictor
from kd_perception.evaluation.result import (
    Evaluation,
    FrameRecord,
    Source,
    array_sha256,
    student_summary,
)
from kd_perception.evaluation.scoring import Scorer
from kd_perception.pipeline import Pipeline

EvaluatedFrame: TypeAlias = Evaluated[FrameRecord, Prediction]
Observer = Callable[[EvaluatedFrame], None]


def evaluate_bag(
    bag: Path | str,
    student: Student,
    *,
    pipeline: Pipeline | None = None,
    predictions: Path | str | None = None,
    image_topic: str = '',
    label_topic: str = '',
    labels: Path | None = None,
    observers: Sequence[Observer] = (),
    progress: bool = False,
) -> Evaluation:
    """Evaluate the recording of a drive.

    Messages that are damaged are counted as failed and told; the rest goes on.

    Args:
        bag: Recording with the images, and with ground truth or without.
        student: Whose classes the masks have.
        pipeline: Runs on each frame; give this or ``predictions``.
        predictions: Recording of a live node's outputs, joined with ``bag`` by header stamp; may
            be the same recording.
        image_topic: Topic of the images; empty finds the only one.
        label_topic: Topic with ground truth; empty takes ``label`` beside the images, if there.
        labels: Folder with ground truth instead; see :func:`labels.labeled_by_folder`.
        observers: Called with each frame that has a prediction.
        progress: Show a progress bar on standard error.

    Raises:
        BagError: A recording cannot be read, lacks a topic, or shares no stamp with the other.
        ShapeError: Labels do not fit the masks in size or classes.
        ImageEncodingError: A label is not an image of class ids.
    """
    with BagReader(bag) as source, opened(predictions) as recording:
        image_topic = image_topic or source.image_topic()
        total = source.topic(image_topic).message_count
        pairs, labels_from = labeled(source, image_topic, label_topic, labels)
        predictor = _predictor(pipeline, recording, stamps_of(source, image_topic))
        gathering = _MaskGathering(Scorer(len(student.spec.classes)), observers)
        gathering.take_all(source, pairs, predictor, total=total, progress=progress)
        described = gathering.describe(Source(source.path.name, image_topic, labels_from))
    counts = gathering.counts(predictor)
    return Evaluation(
        mode=predictor.mode,
        source=described,
        student=student_summary(student),
        counts=counts,
        scores=gathering.scorer.scores(),
        latency=predictor.latency(),
        frames=tuple(gathering.records),
        environment=environment_versions() | predictor.environment(),
        notes=tuple(gathering.notes(described, predictor, counts, student.sha256)),
    )


def _predictor(
    pipeline: Pipeline | None, recording: BagReader | None, source_stamps: list[int]
) -> Predictor[Prediction]:
    if (pipeline is None) == (recording is None):
        raise BagError('Give either a pipeline or a recording of predictions.')
    if pipeline is not None:
        return ReplayPredictor(pipeline)
    assert recording is not None
    return RecordedPredictor(recording, source_stamps, MASK_OUTPUTS)


def opened(bag: Path | str | None) -> AbstractContextManager[BagReader | None]:
    """Open a recording that may be missing."""
    return nullcontext() if bag is None else BagReader(bag)


class _MaskGathering(Gathering[FrameRecord, Prediction]):
    """Gathers masks."""

    def __init__(self, scorer: Scorer, observers: Sequence[Observer]) -> None:
        super().__init__(FrameRecord, observers)
        self.scorer = scorer

    @property
    def scored(self) -> int:
        return self.scorer.frames

    def _score(
        self, record: FrameRecord, prediction: Prediction, label: Label | None
    ) -> FrameRecord:
        mask, uncertainty = prediction.mask, prediction.uncertainty
        miou = math.nan
        if label is not None:
            if label.shape != mask.shape:
                raise ShapeError(
                    f'labels must be of the size of masks, {mask.shape}; received {label.shape}: '
                    'set output_size to input, or scale the labels to the camera image'
                )
            miou = self.scorer.update(mask, label, prediction.confidence, uncertainty)
        return replace(
            record,
            mask_sha256=array_sha256(mask),
            uncertainty_sha256='' if uncertainty is None else array_sha256(uncertainty),
            miou=miou,
            latency_ms=prediction.latency_ms,
        )
