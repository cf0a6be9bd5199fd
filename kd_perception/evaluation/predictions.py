# SPDX-License-Identifier: Apache-2.0
"""Predictions to be evaluated: recorded from a live node, or made here by the pipeline."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage, header_stamp_ns
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, KdPerceptionError
from kd_perception.evaluation.labels import stamps_of
from kd_perception.evaluation.node_record import NodeRecord, read_node_record
from kd_perception.evaluation.result import Counts, Latency, Percentiles
from kd_perception.frames import ByteImage, Float32Image, Frame
from kd_perception.pipeline import Output, Pipeline, Timings

_IMAGES = ('mask', 'confidence', 'uncertainty')
_WINDOW = 64
_LONGEST_LATENCY_MS = 60_000.0


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


class Predictor(Protocol):
    """Gives predictions in the order of the source's images, then tells about the whole."""

    mode: str

    def predict(self, frame: Frame) -> Prediction | None:
        """Return the prediction for a frame; None if there is none."""

    def complete(self, counts: Counts) -> Counts:
        """Add what became of the frames."""

    def latency(self) -> Latency:
        """Return the times."""

    def environment(self) -> dict[str, str]:
        """Return what ran."""


class ReplayPredictor:
    """Runs the pipeline on each frame.

    Args:
        pipeline: Fresh or reset.
    """

    mode = 'replay'

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._timings: list[Timings] = []
        self._held = 0
        self.failures: list[str] = []

    def predict(self, frame: Frame) -> Prediction | None:
        """Run one frame; one that cannot be used is counted and has no prediction."""
        try:
            result = self._pipeline.step(frame, Output.PREDICTION | Output.AGC_IMAGE)
        except KdPerceptionError as error:
            self.failures.append(str(error))
            return None
        if result.held:
            self._held += 1
            return None
        self._timings.append(result.timings)
        return Prediction(
            result.mask,
            result.confidence,
            result.uncertainty,
            result.agc_image,
            sum(result.timings),
        )

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
        backend = self._pipeline.backend
        text = f'{backend.name} {backend.precision} on {backend.device}, {backend.threads} threads'
        return {'backend': text}


class RecordedPredictor:
    """Finds, by header stamp, what a live node published.

    Args:
        bag: Open recording of the node's outputs.
        source_stamps: Header stamps of the source's images [ns].

    Raises:
        BagError: There is no topic, or more than one, that ends in ``/mask``.
    """

    mode = 'recorded'

    def __init__(self, bag: BagReader, source_stamps: list[int]) -> None:
        prefix = _output_prefix(bag)
        recorded = Counter(stamps_of(bag, f'{prefix}mask'))
        wanted = Counter(source_stamps)
        self._unmatched = (recorded - wanted).total()
        self._recorded = recorded & wanted
        self._stream = self._grouped(bag, prefix)
        self._ready: dict[int, list[tuple[Prediction, float]]] = {}
        self._node: NodeRecord = read_node_record(bag, prefix)
        self._receipt_ms: list[float] = []
        self._status_ms: list[float] = []

    def predict(self, frame: Frame) -> Prediction | None:
        """Return what was recorded with the stamp of this frame."""
        if not self._recorded[frame.stamp_ns]:
            return None
        self._recorded[frame.stamp_ns] -= 1
        found = self._take(frame.stamp_ns)
        if found is None:
            return None
        prediction, receipt_ms = found
        status_ms = self._node.latency_ms(frame.stamp_ns)
        self._receipt_ms.append(receipt_ms)
        self._status_ms.append(status_ms)
        return replace(prediction, latency_ms=status_ms if math.isnan(receipt_ms) else receipt_ms)

    def _take(self, wanted_ns: int) -> tuple[Prediction, float] | None:
        """Read on until the stamp comes; keep what comes before it and is wanted later."""
        while not self._ready.get(wanted_ns):
            group = next(self._stream, None)
            if group is None:
                return None
            stamp_ns, prediction, receipt_ms = group
            if self._recorded[stamp_ns] or stamp_ns == wanted_ns:
                self._ready.setdefault(stamp_ns, []).append((prediction, receipt_ms))
        found = self._ready[wanted_ns].pop(0)
        if not self._ready[wanted_ns]:
            del self._ready[wanted_ns]
        return found

    def _grouped(self, bag: BagReader, prefix: str) -> Iterator[tuple[int, Prediction, float]]:
        """Yield (stamp, prediction, receipt time) once all outputs of a stamp are there."""
        topics = [prefix + name for name in _IMAGES if prefix + name in bag.topics]
        groups: OrderedDict[int, dict[str, BagMessage]] = OrderedDict()
        for message in bag.messages(topics):
            stamp_ns = header_stamp_ns(message.data)
            group = groups.setdefault(stamp_ns, {})
            group[message.topic.removeprefix(prefix)] = message
            if len(group) == len(topics):
                yield self._finished(stamp_ns, groups.pop(stamp_ns))
            elif len(groups) > _WINDOW:
                yield from self._incomplete(*groups.popitem(last=False))
        for stamp_ns, group in groups.items():
            yield from self._incomplete(stamp_ns, group)

    def _incomplete(
        self, stamp_ns: int, group: dict[str, BagMessage]
    ) -> Iterator[tuple[int, Prediction, float]]:
        """Use a frame of which the recorder missed an output, but not without its mask."""
        if 'mask' in group:
            yield self._finished(stamp_ns, group)

    def _finished(
        self, stamp_ns: int, group: dict[str, BagMessage]
    ) -> tuple[int, Prediction, float]:
        images: dict[str, Any] = {
            name: frame_from_message(message.deserialize()).image
            for name, message in group.items()
        }
        receipt_ms = (group['mask'].log_time_ns - stamp_ns) * 1e-6
        plausible = 0.0 < receipt_ms < _LONGEST_LATENCY_MS
        return (
            stamp_ns,
            Prediction(**images),
            receipt_ms if plausible else math.nan,
        )

    def complete(self, counts: Counts) -> Counts:
        """Add what the node counted itself."""
        return replace(self._node.complete(counts), unmatched=self._unmatched)

    def latency(self) -> Latency:
        """Return header stamp to receipt where stamps were real, else what the node measured."""
        stages = self._node.stages()
        if self._receipt_ms and not any(math.isnan(ms) for ms in self._receipt_ms):
            definition = 'header stamp to receipt of the mask by the recorder'
            return Latency(definition, Percentiles.of(self._receipt_ms), stages)
        if any(not math.isnan(ms) for ms in self._status_ms):
            definition = 'header stamp to the end of publishing, measured by the node'
            return Latency(definition, Percentiles.of(self._status_ms), stages)
        return Latency(stages=stages)

    def environment(self) -> dict[str, str]:
        """Return what the node said of its model."""
        return self._node.environment()

    @property
    def model_sha256(self) -> frozenset[str]:
        """Hashes of the students that the node ran."""
        return self._node.model_sha256


def _output_prefix(bag: BagReader) -> str:
    prefixes = [name.removesuffix('mask') for name in bag.topics if name.endswith('/mask')]
    if len(prefixes) != 1:
        raise BagError(
            f'The predictions must have one topic that ends in /mask; {bag.path} has '
            f'{len(prefixes)}. It has: {bag.describe_topics()}.'
        )
    return prefixes[0]
