# SPDX-License-Identifier: Apache-2.0
"""Predictions that a live node published, found again by header stamp."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ImageEncodingError, KdPerceptionError
from kd_perception.evaluation.labels import stamped, stamps_of
from kd_perception.evaluation.node_record import NodeRecord, read_node_record
from kd_perception.evaluation.predictions import Prediction, SomePrediction
from kd_perception.evaluation.result import Counts, Latency, Percentiles
from kd_perception.frames import Frame

_WINDOW = 64
_LONGEST_LATENCY_MS = 60_000.0


@dataclass(frozen=True)
class RecordedOutputs(Generic[SomePrediction]):
    """The outputs of a node that are evaluated.

    Attributes:
        groups: Outputs that belong together; a frame has those of one group. The first of a group
            is its prediction, without which the others are of no use.
        types: Sample type of each output.
        make: Makes the prediction of the images, the latency [ms] and the numbers that the node
            told of the frame.
    """

    groups: tuple[tuple[str, ...], ...]
    types: Mapping[str, str]
    make: Callable[[dict[str, Any], float, Mapping[str, float]], SomePrediction]

    @property
    def mains(self) -> tuple[str, ...]:
        """The outputs that make a frame answered."""
        return tuple(group[0] for group in self.groups)


MASK_OUTPUTS = RecordedOutputs(
    (('mask', 'confidence', 'uncertainty'),),
    {'mask': 'uint8', 'confidence': 'uint8', 'uncertainty': 'float32'},
    lambda images, latency_ms, _: Prediction(**images, latency_ms=latency_ms),
)


class _Recorded(NamedTuple):
    """The outputs of one frame; none of them if they cannot be used."""

    stamp_ns: int
    images: dict[str, Any]
    receipt_ms: float


class RecordedPredictor(Generic[SomePrediction]):
    """Finds, by header stamp, what a live node published.

    An output that cannot be used is counted and left out; a frame without its prediction, or with
    outputs of several sizes, has none.

    Args:
        bag: Open recording of the node's outputs.
        source_stamps: Header stamps of the source's images [ns].
        outputs: What to look for.
        ignored_topic: Of the recording, that is no output of a node, e.g. ground truth.

    Attributes:
        there: Outputs that were recorded.

    Raises:
        BagError: There is no node with such outputs, or more than one.
    """

    mode = 'recorded'

    def __init__(
        self,
        bag: BagReader,
        source_stamps: list[int],
        outputs: RecordedOutputs[SomePrediction],
        ignored_topic: str = '',
    ) -> None:
        prefix = _output_prefix(bag, outputs.mains, ignored_topic)
        self.there = {name for name in outputs.types if prefix + name in bag.topics}
        mains = [prefix + name for name in outputs.mains if name in self.there]
        recorded = Counter(stamp_ns for topic in mains for stamp_ns in stamps_of(bag, topic))
        wanted = Counter(source_stamps)
        self._unmatched = (recorded - wanted).total()
        self._recorded = recorded & wanted
        self._bag = bag
        self._outputs = outputs
        self._damaged: list[str] = []
        self._stream = self._grouped(bag, prefix)
        self._ready: dict[int, list[_Recorded]] = {}
        self._node: NodeRecord = read_node_record(bag, prefix)
        self._receipt_ms: list[float] = []
        self._status_ms: list[float] = []

    def predict(self, frame: Frame, header: Any) -> SomePrediction | None:
        """Return what was recorded with the stamp of this frame."""
        if not self._recorded[frame.stamp_ns]:
            return None
        self._recorded[frame.stamp_ns] -= 1
        found = self._take(frame.stamp_ns)
        if found is None or not found.images:
            return None
        receipt_ms = found.receipt_ms
        status_ms = self._node.latency_ms(frame.stamp_ns)
        self._receipt_ms.append(receipt_ms)
        self._status_ms.append(status_ms)
        latency_ms = status_ms if math.isnan(receipt_ms) else receipt_ms
        return self._outputs.make(found.images, latency_ms, self._node.numbers(frame.stamp_ns))

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
        there = self.there
        whole = [there & set(group) for group in self._outputs.groups if group[0] in there]
        groups: OrderedDict[int, dict[str, BagMessage]] = OrderedDict()
        for message, stamp_ns in stamped(bag, [prefix + name for name in sorted(there)]):
            group = groups.setdefault(stamp_ns, {})
            group[message.topic.removeprefix(prefix)] = message
            if any(names <= group.keys() for names in whole):
                yield self._finished(stamp_ns, groups.pop(stamp_ns))
            elif len(groups) > _WINDOW:
                yield from self._incomplete(*groups.popitem(last=False))
        for stamp_ns, group in groups.items():
            yield from self._incomplete(stamp_ns, group)

    def _incomplete(self, stamp_ns: int, group: dict[str, BagMessage]) -> Iterator[_Recorded]:
        """Use a frame of which the recorder missed an output, but not without its prediction."""
        if self._main_of(group) in group:
            yield self._finished(stamp_ns, group)

    def _main_of(self, group: Mapping[str, Any]) -> str:
        mains = self._outputs.mains
        return next((name for name in mains if name in group), mains[0])

    def _finished(self, stamp_ns: int, group: dict[str, BagMessage]) -> _Recorded:
        images: dict[str, Any] = {}
        for name, message in group.items():
            try:
                images[name] = _output_image(message, self._outputs.types[name])
            except KdPerceptionError as error:
                self._damaged.append(f'{message.topic}: {error}')
        main = self._main_of(group)
        shapes = {name: image.shape for name, image in images.items()}
        if len(set(shapes.values())) > 1:  # nobody knows which of them is right
            self._damaged.append(f'Outputs of one frame must be of one size; received {shapes}.')
            images.clear()
        if main not in images:
            images.clear()
        receipt_ms = (group[main].log_time_ns - stamp_ns) * 1e-6
        plausible = 0.0 < receipt_ms < _LONGEST_LATENCY_MS
        return _Recorded(stamp_ns, images, receipt_ms if plausible else math.nan)

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
            definition = 'header stamp to receipt by the recorder'
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


def _output_prefix(bag: BagReader, mains: tuple[str, ...], ignored_topic: str) -> str:
    prefixes = {
        name.removesuffix(main)
        for name in bag.topics
        for main in mains
        if name.endswith(f'/{main}') and name != ignored_topic
    }
    if len(prefixes) != 1:
        endings = ' or '.join(f'/{main}' for main in mains)
        raise BagError(
            f'The predictions must be of one node, with a topic that ends in {endings}; '
            f'{bag.path} has {len(prefixes)}. It has: {bag.describe_topics()}.'
        )
    return prefixes.pop()
