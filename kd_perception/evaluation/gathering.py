# SPDX-License-Identifier: Apache-2.0
"""What is gathered while the frames of a recording go by, whatever the student is for."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, KdPerceptionError, ShapeError
from kd_perception.evaluation.labels import Label, Labeled
from kd_perception.evaluation.predictions import Predictor
from kd_perception.evaluation.result import Counts, Source
from kd_perception.frames import Frame


class AnyRecord(Protocol):
    """What the records of frames have in common."""

    @property
    def index(self) -> int:
        """Position among the images that could be read, from 0."""

    @property
    def stamp_ns(self) -> int:
        """Header stamp."""

    @property
    def is_predicted(self) -> bool:
        """Whether there is a prediction."""


SomeRecord = TypeVar('SomeRecord', bound=AnyRecord)
SomePrediction = TypeVar('SomePrediction')


@dataclass(frozen=True)
class Evaluated(Generic[SomeRecord, SomePrediction]):
    """A frame with its prediction, for those who make pictures of it.

    Attributes:
        record: Index, stamp and figures.
        frame: The camera image.
        label: Ground truth of the prediction's size, or None.
        prediction: What the student said.
    """

    record: SomeRecord
    frame: Frame
    label: Label | None
    prediction: SomePrediction


class Gathering(ABC, Generic[SomeRecord, SomePrediction]):
    """Records, counts and failures; scores are up to the task.

    Args:
        new_record: Makes the record of a frame from its index and stamp.
        observers: Called with each frame that has a prediction.
    """

    def __init__(
        self,
        new_record: Callable[[int, int], SomeRecord],
        observers: Sequence[Callable[[Evaluated[SomeRecord, SomePrediction]], None]],
    ) -> None:
        self.records: list[SomeRecord] = []
        self.failures: list[str] = []
        self.labeled = 0
        self._new_record = new_record
        self._observers = observers
        self._first: Frame | None = None
        self._left_out = 0
        self._digest = hashlib.sha256()

    @property
    @abstractmethod
    def scored(self) -> int:
        """Frames that the metrics are about."""

    @abstractmethod
    def _score(
        self, record: SomeRecord, prediction: SomePrediction, label: Label | None
    ) -> SomeRecord:
        """Take a prediction into account; give the record with its figures.

        Raises:
            ShapeError: The ground truth does not fit.
        """

    def take_all(
        self,
        source: BagReader,
        pairs: Iterable[Labeled],
        predictor: Predictor[SomePrediction],
        *,
        total: int,
        progress: bool,
    ) -> None:
        """Go through a recording.

        Args:
            source: Where the images come from, for what it leaves out.
            pairs: Images with their ground truth.
            predictor: Gives predictions.
            total: Images in the recording.
            progress: Show a progress bar on standard error.

        Raises:
            ShapeError: Not even the first ground truth fits: probably all are like this.
        """
        for pair in tqdm(pairs, total=total, unit='frame', disable=not progress, leave=False):
            self._digest.update(pair.message.data)
            if pair.label is not None:
                self.labeled += 1
                self._digest.update(np.ascontiguousarray(pair.label).data)
            self.records.append(self._take(pair, predictor))
        self.failures += [failure.reason for failure in source.failures]
        self._left_out = max(0, total - len(self.records))

    def _take(self, pair: Labeled, predictor: Predictor[SomePrediction]) -> SomeRecord:
        record = self._new_record(len(self.records), pair.stamp_ns)
        try:
            message = pair.message.deserialize()
            frame = frame_from_message(message)
        except KdPerceptionError as error:
            self.failures.append(str(error))
            return record
        self._first = self._first or frame
        prediction = predictor.predict(frame, message.header)
        if prediction is None:
            return record
        try:
            record = self._score(record, prediction, pair.label)
        except ShapeError as error:
            if not self.scored:
                raise
            self.failures.append(str(error))
            return record
        for observe in self._observers:
            observe(Evaluated(record, frame, pair.label, prediction))
        return record

    def describe(self, source: Source) -> Source:
        """Add what the images say of the recording."""
        stamps = np.array([record.stamp_ns for record in self.records], np.int64)
        steps = np.diff(stamps)
        median_ns = float(np.median(steps)) if steps.size else math.nan
        first = self._first
        return replace(
            source,
            sha256=self._digest.hexdigest(),
            duration_s=float(np.ptp(stamps)) * 1e-9 if stamps.size else math.nan,
            rate_hz=1e9 / median_ns if median_ns > 0 else math.nan,
            image_size=(0, 0) if first is None else (first.image.shape[0], first.image.shape[1]),
            encoding='' if first is None else first.encoding,
        )

    def counts(self, predictor: Predictor[SomePrediction]) -> Counts:
        """Return what became of the frames.

        Raises:
            BagError: There are predictions, but none for these images.
        """
        predicted = sum(record.is_predicted for record in self.records)
        frames = len(self.records) + self._left_out
        counts = predictor.complete(Counts(frames, predicted, self.labeled, self.scored))
        if counts.frames and not counts.predicted and counts.unmatched:
            raise BagError(
                'Predictions must have the header stamps of their images; of '
                f'{counts.unmatched} recorded ones none does. Evaluate against the bag that was '
                'played, without changed stamps.'
            )
        failed = len(self.failures) + len(predictor.failures)
        if counts.failed is None and failed:  # a node's own account is left as it is
            counts = replace(counts, failed=failed)
        return counts

    def notes(
        self, source: Source, predictor: Predictor[SomePrediction], counts: Counts, sha256: str
    ) -> list[str]:
        """Return what a reader must know.

        Args:
            source: For the origin of the ground truth.
            predictor: Where the predictions came from.
            counts: What :meth:`counts` gave.
            sha256: Of the student that is reported.
        """
        notes = []
        if not self.scored:
            notes.append(f'No ground truth: {self._why_unscored(source)}.')
        failures = [*self.failures, *predictor.failures]
        if failures:
            notes.append(
                f'{len(failures)} messages could not be used, the first because: {failures[0]}'
            )
        if counts.unmatched:
            notes.append(f'{counts.unmatched} recorded predictions belong to no image of the bag.')
        others = predictor.model_sha256 - {sha256}
        if others:
            notes.append(f'The node ran another student: {", ".join(sorted(others))}.')
        return notes

    def _why_unscored(self, source: Source) -> str:
        if not source.labels:
            return 'there are hashes, times and pictures, but no metrics'
        if not self.labeled:
            return f'nothing of {source.labels} has the header stamp of an image'
        return f'no frame has both a prediction and something of {source.labels}'
