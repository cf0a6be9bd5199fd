# SPDX-License-Identifier: Apache-2.0
"""Predictions that a live node published, found again by header stamp."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ImageEncodingError, KdPerceptionError
from kd_perception.evaluation.labels import stamped, stamps_of
from kd_perception.evaluation.node_record import NodeRecord, read_node_record
from kd_perception.evaluation.predictions import Prediction
from kd_perception.evaluation.result import Counts, Latency, Percentiles
from kd_perception.frames import Frame

_TYPES = {'mask': 'uint8', 'confidence': 'uint8', 'uncertainty': 'float32'}
_WINDOW = 64
_LONGEST_LATENCY_MS = 60_000.0


class _Recorded(NamedTuple):
    """The outputs of one frame; no prediction if the mask cannot be used."""

    stamp_ns: int
    prediction: Prediction | None
    receipt_ms: float


class RecordedPredictor:
    """Finds, by header stamp, what a live node published.

    An output that cannot be used is counted and left out; a frame without mask, or with outputs
    of several sizes, has no prediction.

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
        self._bag = bag
        self._damaged: list[str] = []
        self._stream = self._grouped(bag, prefix)
        self._ready: dict[int, list[_Recorded]] = {}
        self._node: NodeRecord = read_node_record(bag, prefix)
        self._receipt_ms: list[float] = []
        self._status_ms: list[float] = []

    def predict(self, frame: Frame) -> Prediction | None:
        """Return what was recorded with the stamp of this frame."""
        if not self._recorded[frame.stamp_ns]:
            return None
        self._recorded[frame.stamp_ns] -= 1
        found = self._take(frame.stamp_ns)
        if found is None or found.prediction is None:
            return None
        prediction, receipt_ms = found.prediction, found.receipt_ms
        status_ms = self._node.latency_ms(frame.stamp_ns)
        self._receipt_ms.append(receipt_ms)
        self._status_ms.append(status_ms)
        return replace(prediction, latency_ms=status_ms if math.isnan(receipt_ms) else receipt_ms)

    def _take(self, wanted_ns: int) -> _Recorded | None:
        """Read on until the stamp comes; keep what comes before it and is wanted later."""
        while not self._ready.get(wanted_ns):
            group = next(self._stream, None)
            if group is None:
                return None
            if self._recorded[group.stamp_ns] or group.stamp_ns == wanted_ns:
                self._ready.setdefault(group.stamp_ns, []).append(group)
        found = self._ready[wanted_ns].pop(0)
        if not self._ready[wanted_ns]:
            del self._ready[wanted_ns]
        return found

    def _grouped(self, bag: BagReader, prefix: str) -> Iterator[_Recorded]:
        """Yield once all outputs of a stamp are there."""
        topics = [prefix + name for name in _TYPES if prefix + name in bag.topics]
        groups: OrderedDict[int, dict[str, BagMessage]] = OrderedDict()
        for message, stamp_ns in stamped(bag, topics):
            group = groups.setdefault(stamp_ns, {})
            group[message.topic.removeprefix(prefix)] = message
            if len(group) == len(topics):
                yield self._finished(stamp_ns, groups.pop(stamp_ns))
            elif len(groups) > _WINDOW:
                yield from self._incomplete(*groups.popitem(last=False))
        for stamp_ns, group in groups.items():
            yield from self._incomplete(stamp_ns, group)

    def _incomplete(self, stamp_ns: int, group: dict[str, BagMessage]) -> Iterator[_Recorded]:
        """Use a frame of which the recorder missed an output, but not without its mask."""
        if 'mask' in group:
            yield self._finished(stamp_ns, group)

    def _finished(self, stamp_ns: int, group: dict[str, BagMessage]) -> _Recorded:
        images: dict[str, Any] = {}
        for name, message in group.items():
            try:
                images[name] = _output_image(message, _TYPES[name])
            except KdPerceptionError as error:
                self._damaged.append(f'{message.topic}: {error}')
        shapes = {name: image.shape for name, image in images.items()}
        if len(set(shapes.values())) > 1:  # nobody knows which of them is right
            self._damaged.append(f'Outputs of one frame must be of one size; received {shapes}.')
            images.clear()
        receipt_ms = (group['mask'].log_time_ns - stamp_ns) * 1e-6
        plausible = 0.0 < receipt_ms < _LONGEST_LATENCY_MS
        prediction = Prediction(**images) if 'mask' in images else None
        return _Recorded(stamp_ns, prediction, receipt_ms if plausible else math.nan)

    @property
    def failures(self) -> list[str]:
        """Why outputs could not be used, one reason each."""
        return [*self._damaged, *(failure.reason for failure in self._bag.failures)]

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


def _output_image(message: BagMessage, expected: str) -> Any:
    image = frame_from_message(message.deserialize()).image
    if image.ndim != 2 or image.dtype.name != expected:
        raise ImageEncodingError(
            f'This output must be one channel of {expected}; received shape {image.shape} of '
            f'{image.dtype}.'
        )
    return image


def _output_prefix(bag: BagReader) -> str:
    prefixes = [name.removesuffix('mask') for name in bag.topics if name.endswith('/mask')]
    if len(prefixes) != 1:
        raise BagError(
            f'The predictions must have one topic that ends in /mask; {bag.path} has '
            f'{len(prefixes)}. It has: {bag.describe_topics()}.'
        )
    return prefixes[0]
