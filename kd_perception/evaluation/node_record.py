# SPDX-License-Identifier: Apache-2.0
"""What a live node told about itself while its outputs were recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from kd_perception.bags import BagReader
from kd_perception.bags.types import header_stamp_ns
from kd_perception.evaluation.result import Counts, Percentiles

_DIAGNOSTICS = '/diagnostics'
_TOTALS = ('received', 'published', 'dropped', 'failed')
_STAGES = ('queue', 'convert', 'preprocess', 'infer', 'postprocess', 'publish')
_MODEL_KEYS = ('backend', 'precision', 'device', 'threads')


@dataclass(frozen=True)
class NodeRecord:
    """Contents of ``frame_status`` and ``/diagnostics``.

    Attributes:
        frames: Values of each frame by its header stamp [ns].
        totals: The last totals on ``/diagnostics``; empty if not recorded.
        model: The last values of the model entry; empty if not recorded.
    """

    frames: dict[int, dict[str, str]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)

    def latency_ms(self, stamp_ns: int) -> float:
        """Return the node's own figure for a frame; NaN if there is none."""
        return _number(self.frames.get(stamp_ns, {}).get('latency_ms', ''))

    def numbers(self, stamp_ns: int) -> dict[str, float]:
        """Return what the node told of a frame, as far as it is numbers."""
        return {key: _number(text) for key, text in self.frames.get(stamp_ns, {}).items()}

    def stages(self) -> dict[str, Percentiles]:
        """Return the times of the stages over all frames."""
        found = {}
        for stage in _STAGES:
            times = [_number(values.get(f'{stage}_ms', '')) for values in self.frames.values()]
            if any(not math.isnan(time) for time in times):
                found[stage] = Percentiles.of(times)
        return found

    def complete(self, counts: Counts) -> Counts:
        """Add the node's account.

        The last ``/diagnostics`` is exact but up to a second old; where ``frame_status`` counts
        more frames, its totals are used, with the recorded predictions as those published.
        """
        last = [_totals_of(values) for values in list(self.frames.values())[-1:]]
        newest = last[0] if last else {}
        if newest.get('received', -1) > self.totals.get('received', -1):
            recorded = counts.predicted + counts.unmatched
            return replace(counts, **newest, published=recorded)
        return replace(counts, **self.totals)

    def environment(self) -> dict[str, str]:
        """Return the backend that the node used."""
        known = [self.model[key] for key in _MODEL_KEYS if self.model.get(key)]
        return {'backend': ' '.join(known)} if known else {}

    @property
    def model_sha256(self) -> frozenset[str]:
        """Hashes of the students that answered frames."""
        hashes = {values.get('model_sha256', '') for values in self.frames.values()}
        return frozenset(hashes - {''})


def read_node_record(bag: BagReader, prefix: str) -> NodeRecord:
    """Read what the node told.

    Args:
        bag: Open recording.
        prefix: Of the node's topics, e.g. ``/thermal/thermal_seg/``.

    Raises:
        BagError: The bag is damaged.
    """
    record = NodeRecord()
    status_topic = f'{prefix}frame_status'
    topics = [topic for topic in (status_topic, _DIAGNOSTICS) if topic in bag.topics]
    if not topics:
        return record
    for message in bag.messages(topics):
        entries = [(entry.name, _values(entry)) for entry in message.deserialize().status]
        if message.topic == status_topic:
            record.frames[header_stamp_ns(message.data)] = dict(
                item for _, values in entries for item in values.items()
            )
        else:
            _note_diagnostics(record, entries, prefix)
    return record


def _note_diagnostics(
    record: NodeRecord, entries: list[tuple[str, dict[str, str]]], prefix: str
) -> None:
    """Keep the newest totals and model facts of this node; other nodes share the topic."""
    node = prefix.strip('/')
    for name, values in entries:
        owner, _, entry = name.partition(':')
        if owner.strip().strip('/') not in (node, node.rpartition('/')[2]):
            continue
        if entry.strip() == 'input' and all(key in values for key in _TOTALS):
            record.totals.update({key: int(values[key]) for key in _TOTALS})
        elif entry.strip() == 'model':
            record.model.update(values)


def _totals_of(values: dict[str, str]) -> dict[str, int]:
    totals = {key: values.get(f'{key}_total', '') for key in _TOTALS}
    return {key: int(text) for key, text in totals.items() if text.isdigit()}


def _values(status: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
