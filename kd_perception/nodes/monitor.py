# SPDX-License-Identifier: Apache-2.0
"""What the node remembers about its frames, for diagnostics: times, faults, the camera's state."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

FaultKind = Literal['input', 'model', 'internal', 'load']
NoteKind = Literal['zero_stamp', 'future_stamp', 'ancient_stamp', 'too_old', 'color_input']

_WINDOW_S = 10.0  # older times say nothing about now
_WINDOW = 300  # frames; as many as a camera of 30 Hz gives in that time


@dataclass(frozen=True)
class FrameTimes:
    """Where the time of one published frame went.

    Attributes:
        latency_ms: Header stamp to the end of publishing, by the ROS clock; None where that has no
            meaning (zero stamp, stamp in the future, paused clock).
        age_ms: Header stamp to the start of work; None as above.
        queue_ms: Receipt to the start of work.
        convert_ms: Message to array.
        preprocess_ms: Gain control and resizing.
        infer_ms: The network.
        postprocess_ms: Logits to mask, confidence and uncertainty.
        publish_ms: Arrays to messages, and handing those to the middleware.
    """

    latency_ms: float | None
    age_ms: float | None
    queue_ms: float
    convert_ms: float
    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float
    publish_ms: float


STAGES = ('queue_ms', 'convert_ms', 'preprocess_ms', 'infer_ms', 'postprocess_ms', 'publish_ms')


@dataclass(frozen=True)
class ThermalState:
    """What the last frame of a segmentation node looked like, published or not.

    Attributes:
        encoding: Encoding of the input.
        low: Raw value that became black.
        high: Raw value that became white.
        low_c: The same in degrees Celsius; None without radiometry.
        high_c: The same in degrees Celsius; None without radiometry.
        frozen: Whether the camera repeats one image, as while its shutter is closed.
        frozen_s: For how long, by header stamps.
        saturated_share: Share of pixels at the end of the sensor's range, 0 to 1.
    """

    encoding: str = ''
    low: float = 0.0
    high: float = 0.0
    low_c: float | None = None
    high_c: float | None = None
    frozen: bool = False
    frozen_s: float = 0.0
    saturated_share: float = 0.0


@dataclass(frozen=True)
class DepthState:
    """What the last frame of a depth node gave, published or not.

    Attributes:
        encoding: Encoding of the input.
        scale: What the network's depth was multiplied by; NaN where it is not known.
        focal_px: Focal length at the network's size [px]; NaN where it is not known.
        valid_ratio: Share of pixels with a finite depth, 0 to 1.
        min_m: Smallest depth that is told [m]; NaN without scale.
        max_m: Largest one [m]; NaN likewise.
        is_answered: Whether there was depth at all.
        frozen: Whether the camera repeats one image.
        frozen_s: For how long, by header stamps.
        uncertainty_method: Where sigma comes from.
        is_calibrated: Whether sigma was calibrated for that method.
    """

    encoding: str = ''
    scale: float = math.nan
    focal_px: float = math.nan
    valid_ratio: float = 0.0
    min_m: float = math.nan
    max_m: float = math.nan
    is_answered: bool = True
    frozen: bool = False
    frozen_s: float = 0.0
    uncertainty_method: str = 'predicted'
    is_calibrated: bool = True


Scene = ThermalState | DepthState


@dataclass(frozen=True)
class Fault:
    """The last fault of a kind, and how many there were."""

    text: str = ''
    count: int = 0
    in_a_row: int = 0
    seen_s: float = -1.0e9


@dataclass(frozen=True)
class Note:
    """How often something unusual was seen, and when last."""

    count: int = 0
    seen_s: float = -1.0e9


@dataclass(frozen=True)
class MonitorView:
    """A consistent picture of the monitor at one moment.

    Attributes:
        now_s: The moment, by the monitor's clock.
        latencies_ms: Of the frames published lately.
        stage_median_ms: Time per stage, of the same frames.
        over_budget_s: How long all frames up to the last one were too late.
        faults: The last fault of each kind.
        thermal: What the last frame looked like; None if there was none lately.
        depth: What it gave; None likewise.
        notes: What was unusual.
    """

    now_s: float
    latencies_ms: tuple[float, ...] = ()
    stage_median_ms: dict[str, float] = field(default_factory=dict)
    over_budget_s: float = 0.0
    faults: dict[FaultKind, Fault] = field(default_factory=dict)
    thermal: ThermalState | None = None
    depth: DepthState | None = None
    notes: dict[NoteKind, Note] = field(default_factory=dict)


class Monitor:
    """Collects from the executor and worker threads, and is read for diagnostics.

    Args:
        clock: Seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything, as on cleanup."""
        with self._lock:
            self._forget_frames()
            self._faults: dict[FaultKind, Fault] = {}
            self._notes: dict[NoteKind, Note] = {}
            self._last_receipt_s: float | None = None

    def _forget_frames(self) -> None:
        self._times: deque[tuple[float, FrameTimes]] = deque(maxlen=_WINDOW)
        self._over_budget_since_s: float | None = None
        self._scene: Scene | None = None
        self._looked_s = -1.0e9

    def receive(self) -> None:
        """Note that an image arrived."""
        self._last_receipt_s = self._clock()

    @property
    def last_receipt_s(self) -> float | None:
        """Monotonic time of the last image, or of the start of waiting."""
        return self._last_receipt_s

    def start_waiting(self) -> None:
        """Start the silence clock and forget earlier frames, as on activate."""
        with self._lock:
            self._forget_frames()
            self._last_receipt_s = self._clock()

    def note(self, kind: NoteKind) -> bool:
        """Note something unusual; return whether it is the first of its kind."""
        with self._lock:
            count = self._notes.get(kind, Note()).count + 1
            self._notes[kind] = Note(count, self._clock())
            return count == 1

    def look(self, scene: Scene) -> None:
        """Note what a frame looks like, whether or not it will be published."""
        with self._lock:
            self._scene, self._looked_s = scene, self._clock()

    def published(self, times: FrameTimes, budget_ms: float) -> None:
        """Note a frame that was answered."""
        with self._lock:
            self._drop_old_times()
            in_a_row = bool(self._times)
            now_s = self._clock()
            self._times.append((now_s, times))
            self._clear_row('input', 'model', 'internal')
            if times.latency_ms is None or times.latency_ms <= budget_ms:
                self._over_budget_since_s = None
            elif self._over_budget_since_s is None or not in_a_row:
                self._over_budget_since_s = now_s

    def fault(self, kind: FaultKind, text: str) -> None:
        """Note a frame, or a model, that could not be used."""
        with self._lock:
            before = self._faults.get(kind, Fault())
            self._faults[kind] = Fault(text, before.count + 1, before.in_a_row + 1, self._clock())

    def forgive(self, kind: FaultKind) -> None:
        """Forget the faults of a kind, because their cause is gone."""
        with self._lock:
            self._faults.pop(kind, None)

    def view(self) -> MonitorView:
        """Return what is known now."""
        with self._lock:
            self._drop_old_times()
            now_s = self._clock()
            times = [times for _, times in self._times]
            scene = self._scene if now_s - self._looked_s <= _WINDOW_S else None
            return MonitorView(
                now_s=now_s,
                latencies_ms=tuple(t.latency_ms for t in times if t.latency_ms is not None),
                stage_median_ms=_stage_medians(times),
                over_budget_s=self._over_budget_s(),
                faults=dict(self._faults),
                thermal=scene if isinstance(scene, ThermalState) else None,
                depth=scene if isinstance(scene, DepthState) else None,
                notes=dict(self._notes),
            )

    def _drop_old_times(self) -> None:
        oldest_s = self._clock() - _WINDOW_S
        while self._times and self._times[0][0] < oldest_s:
            self._times.popleft()

    def _over_budget_s(self) -> float:
        # Up to the last frame: silence after a late frame is no proof of more lateness.
        if self._over_budget_since_s is None or not self._times:
            return 0.0
        return self._times[-1][0] - self._over_budget_since_s

    def _clear_row(self, *kinds: FaultKind) -> None:
        for kind in kinds:
            fault = self._faults.get(kind)
            if fault is not None and fault.in_a_row:
                self._faults[kind] = Fault(fault.text, fault.count, 0, fault.seen_s)


def _stage_medians(frames: list[FrameTimes]) -> dict[str, float]:
    if not frames:
        return {}
    return {
        stage: float(np.median([getattr(times, stage) for times in frames])) for stage in STAGES
    }
