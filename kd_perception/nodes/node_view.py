# SPDX-License-Identifier: Apache-2.0
"""A picture of a node at one moment, of which its diagnostics are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kd_perception.nodes.camera_info import CalibrationState
from kd_perception.nodes.mailbox import FrameCounts
from kd_perception.nodes.monitor import MonitorView, NoteKind
from kd_perception.parameters.spec import ParameterValue

OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'

HOLD_S = 5.0  # a fault of one frame stays visible that long
_FROZEN_ERROR_S = 5.0


@dataclass(frozen=True)
class Rates:
    """What happened since the last diagnostics; shares from 0 to 1.

    What was dropped on request, as by ``lazy`` or ``max_rate_hz``, is not lost.
    """

    received_hz: float = 0.0
    published_hz: float = 0.0
    lost_share: float = 0.0


def rates_between(before: FrameCounts, now: FrameCounts, elapsed_s: float) -> Rates:
    """Return the rates between two counts."""
    received = now.received - before.received
    return Rates(
        received_hz=received / elapsed_s,
        published_hz=(now.published - before.published) / elapsed_s,
        # Above 1 when frames that came before are dropped now.
        lost_share=min((now.lost - before.lost) / max(received, 1), 1.0),
    )


@dataclass(frozen=True)
class NodeView:
    """All that the entries are made of.

    Attributes:
        name: Fully qualified name of the node.
        state: Lifecycle state.
        enabled: Whether ``~/enable`` allows work.
        parameters: Parameter values by name.
        counts: What became of the frames.
        rates: The same per second.
        monitor: Times and faults.
        topic: Resolved image topic; empty while the node is not active.
        publishers: Image publishers seen, for people.
        listeners: Output topics that somebody listens to.
        incompatible: What the middleware said about incompatible QoS, or empty.
        silence_s: Seconds without an image; None while the node is not active.
        model: Facts about the model in use; empty without one.
        calibration: What was found for the last image.
        scene: The entry that says what the camera shows: ``thermal``, ``color`` or ``depth``.
    """

    name: str
    state: str
    enabled: bool
    parameters: Mapping[str, ParameterValue]
    counts: FrameCounts
    rates: Rates
    monitor: MonitorView
    topic: str = ''
    publishers: str = ''
    listeners: frozenset[str] = frozenset()
    incompatible: str = ''
    silence_s: float | None = None
    model: Mapping[str, object] = field(default_factory=dict)
    calibration: CalibrationState = field(default_factory=lambda: CalibrationState(0, ''))
    scene: str = 'thermal'

    def recent(self, kind: NoteKind) -> bool:
        """Whether something unusual was seen a moment ago."""
        note = self.monitor.notes.get(kind)
        return note is not None and self.monitor.now_s - note.seen_s < HOLD_S


Judgment = tuple[bytes, str, Mapping[str, object]]


def nothing_lately(view: NodeView) -> str:
    """Say why an entry about frames has nothing to judge: what was before says nothing now."""
    return 'no frame lately' if view.state == 'active' else f'the node is {view.state}'


def frozen_judgment(frozen_s: float, values: Mapping[str, object]) -> Judgment:
    """Judge a camera that has repeated one image for some seconds, by header stamps."""
    level = ERROR if frozen_s > _FROZEN_ERROR_S else WARN
    return level, f'frozen for {frozen_s:.1f} s', values
