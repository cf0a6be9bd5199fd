# SPDX-License-Identifier: Apache-2.0
"""Evaluate a recording: metrics, per-frame hashes, counts and times.

Two modes, one function. Either the predictions are those that a live node published while its
outputs were recorded, found again by header stamp; or the pipeline runs here, on every frame.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.bundle import Student
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, KdPerceptionError, ShapeError
from kd_perception.evaluation.environment import environment_versions
from kd_perception.evaluation.labels import Labeled, labeled, stamps_of
from kd_perception.evaluation.predictions import Prediction, Predictor, ReplayPredictor
from kd_perception.evaluation.recorded_predictions import RecordedPredictor
from kd_perception.evaluation.result import (
    Counts,
    Evaluation,
    FrameRecord,
    Source,
    array_sha256,
    student_summary,
)
from kd_perception.evaluation.scoring import Scorer
from kd_perception.frames import ByteImage, Frame
from kd_perception.pipeline import Pipeline


@dataclass(frozen=True)
class EvaluatedFrame:
    """A frame with its prediction, for those who make pictures of it.

    Attributes:
        record: Index, stamp and figures.
        frame: The camera image.
        label: Ground truth of the mask's size, or None.
        prediction: What the student said.
    """

    record: FrameRecord
    frame: Frame
    label: ByteImage | None
    prediction: Prediction


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
    with BagReader(bag) as source:
        image_topic = image_topic or source.image_topic()
        total = source.topic(image_topic).message_count
        pairs, labels_from = labeled(source, image_topic, label_topic, labels)
        if (pipeline is None) == (predictions is None):
            raise BagError('Give either a pipeline or a recording of predictions.')
        bar = tqdm(pairs, total=total, unit='frame', disable=not progress, leave=False)
        run = _Run(Scorer(len(student.spec.classes)), observers)
        if pipeline is not None:
            predictor: Predictor = ReplayPredictor(pipeline)
            run.take_all(bar, predictor)
        else:
            with BagReader(predictions or '') as recording:
                stamps = stamps_of(source, image_topic)
                predictor = RecordedPredictor(recording, stamps)
                run.take_all(bar, predictor)
        run.note_left_out(source, total)
        described = run.describe(Source(source.path.name, image_topic, labels_from))
    return _conclude(run, predictor, described, student)


class _Run:
    """What is gathered while the frames go by."""

    def __init__(self, scorer: Scorer, observers: Sequence[Observer]) -> None:
        self.scorer = scorer
        self.records: list[FrameRecord] = []
        self.labeled = 0
        self.first: Frame | None = None
        self.failures: list[str] = []
        self.left_out = 0
        self._observers = observers
        self._digest = hashlib.sha256()

    def take_all(self, pairs: Iterable[Labeled], predictor: Predictor) -> None:
        for pair in pairs:
            self._digest.update(pair.message.data)
            if pair.label is not None:
                self.labeled += 1
                self._digest.update(pair.label.tobytes())
            self.records.append(self._take(pair, predictor))

    def _take(self, pair: Labeled, predictor: Predictor) -> FrameRecord:
        record = FrameRecord(len(self.records), pair.stamp_ns)
        try:
            frame = frame_from_message(pair.message.deserialize())
        except KdPerceptionError as error:
            self.failures.append(str(error))
            return record
        self.first = self.first or frame
        prediction = predictor.predict(frame)
        if prediction is None:
            return record
        try:
            record = self._score(record, prediction, pair.label)
        except ShapeError as error:
            if not self.scorer.frames:  # probably all are like this
                raise
            self.failures.append(str(error))
            return record
        for observe in self._observers:
            observe(EvaluatedFrame(record, frame, pair.label, prediction))
        return record

    def _score(
        self, record: FrameRecord, prediction: Prediction, label: ByteImage | None
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

    def note_left_out(self, bag: BagReader, total: int) -> None:
        """Take over what the reader could not give: images, and labels.

        Args:
            bag: Read to the end.
            total: Images in it.
        """
        self.failures += [failure.reason for failure in bag.failures]
        self.left_out = max(0, total - len(self.records))

    def describe(self, source: Source) -> Source:
        stamps = np.array([record.stamp_ns for record in self.records])
        steps = np.diff(stamps)
        median_ns = float(np.median(steps)) if steps.size else math.nan
        return replace(
            source,
            sha256=self._digest.hexdigest(),
            duration_s=float(np.ptp(stamps)) * 1e-9 if stamps.size else math.nan,
            rate_hz=1e9 / median_ns if median_ns > 0 else math.nan,
            image_size=(0, 0) if self.first is None else self.first.image.shape[:2],
            encoding='' if self.first is None else self.first.encoding,
        )

    def counts(self) -> Counts:
        predicted = sum(bool(record.mask_sha256) for record in self.records)
        frames = len(self.records) + self.left_out
        return Counts(frames, predicted, self.labeled, self.scorer.frames)


def _conclude(run: _Run, predictor: Predictor, source: Source, student: Student) -> Evaluation:
    counts = predictor.complete(run.counts())
    if counts.frames and not counts.predicted and counts.unmatched:
        raise BagError(
            'Predictions must have the header stamps of their images; of '
            f'{counts.unmatched} recorded masks none does. Evaluate against the bag that was '
            'played, without changed stamps.'
        )
    failures = [*run.failures, *predictor.failures]
    if counts.failed is None and failures:  # a node's own account is left as it is
        counts = replace(counts, failed=len(failures))
    return Evaluation(
        mode=predictor.mode,
        source=source,
        student=student_summary(student),
        counts=counts,
        scores=run.scorer.scores(),
        latency=predictor.latency(),
        frames=tuple(run.records),
        environment=environment_versions() | predictor.environment(),
        notes=_notes(run, predictor, counts, student, failures),
    )


def _notes(
    run: _Run, predictor: Predictor, counts: Counts, student: Student, failures: list[str]
) -> tuple[str, ...]:
    notes = []
    if not run.scorer.frames:
        notes.append('No ground truth: there are hashes, times and pictures, but no metrics.')
    if failures:
        notes.append(
            f'{len(failures)} messages could not be used, the first because: {failures[0]}'
        )
    if counts.unmatched:
        notes.append(f'{counts.unmatched} recorded masks belong to no image of the bag.')
    others: frozenset[str] = getattr(predictor, 'model_sha256', frozenset()) - {student.sha256}
    if others:
        notes.append(
            f'The node ran another student than {student.spec.name}: {", ".join(sorted(others))}.'
        )
    return tuple(notes)
