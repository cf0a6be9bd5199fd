# SPDX-License-Identifier: Apache-2.0
"""One frame from message to messages: admit, convert, run the pipeline, publish, take times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic_ns, perf_counter
from typing import Any

from kd_perception.encodings import frame_from_message
from kd_perception.frames import Frame
from kd_perception.nodes.admission import Admission
from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount
from kd_perception.nodes.messages import diagnostic_array, diagnostic_status
from kd_perception.nodes.model_slot import Engine, ModelSlot
from kd_perception.nodes.monitor import FrameTimes, Monitor, Scene
from kd_perception.nodes.parameters import NodeParameters

_OK = b'\x00'


class FrameHandler(ABC):
    """Answers frames; called by the worker thread only.

    Args:
        name: Name of the node, for ``~/frame_status``.
        parameters: latency_budget_ms, lazy.
        slot: The model in use.
        outputs: Where results go.
        pairing: Where the calibration of an image is found.
        admission: Which frames are worth working on.
        account: For the totals in ``~/frame_status``.
        monitor: Told the times of each frame.
    """

    main_topic = ''
    """Published on without a listener where ``lazy`` is off."""

    def __init__(
        self,
        name: str,
        parameters: NodeParameters,
        slot: ModelSlot,
        outputs: Any,
        pairing: CameraInfoPairing,
        admission: Admission,
        account: FrameAccount,
        monitor: Monitor,
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._slot = slot
        self._outputs = outputs
        self._pairing = pairing
        self._admission = admission
        self._account = account
        self._monitor = monitor
        self._frozen_since_ns: int | None = None

    def handle(self, arrival: Arrival) -> DropReason | None:
        """Answer one frame.

        Returns:
            Why the frame was dropped; None if its results were published.

        Raises:
            KdPerceptionError: The frame or the model cannot be used.
        """
        start_ns = monotonic_ns()
        age = self._admission.age_of(arrival)
        subscribed = self._outputs.subscribed()
        reason = self._admission.reason_to_drop(arrival, age, subscribed)
        if reason is not None:
            return reason
        header, names = arrival.message.header, self._wanted_topics(subscribed)
        start_s = perf_counter()
        frame = frame_from_message(arrival.message)
        converted_s = perf_counter()
        with self._slot.lease() as engine:
            result = self._step(engine, header, frame, names)
        self._monitor.look(self._scene(frame, result, engine))
        reason = self._reason_to_hold(result, names)
        if reason is not None:
            return reason
        stepped_s = perf_counter()
        self._publish(header, names, frame, result, engine)
        times = FrameTimes(
            latency_ms=_milliseconds(self._admission.elapsed_ns(age.stamp_ns)),
            age_ms=_milliseconds(age.age_ns),
            queue_ms=(start_ns - arrival.receipt_ns) * 1e-6,
            convert_ms=(converted_s - start_s) * 1e3,
            publish_ms=(perf_counter() - stepped_s) * 1e3,
            **result.timings._asdict(),
        )
        self._monitor.published(times, self._parameters.number('latency_budget_ms'))
        if 'frame_status' in subscribed:
            self._publish_status(header, times, result, engine)
        return None

    @abstractmethod
    def _step(self, engine: Engine, header: Any, frame: Frame, names: frozenset[str]) -> Any:
        """Run the pipeline for the topics in ``names``."""

    @abstractmethod
    def _scene(self, frame: Frame, result: Any, engine: Engine) -> Scene:
        """Say what the frame looks like, for diagnostics."""

    @abstractmethod
    def _publish(
        self, header: Any, names: frozenset[str], frame: Frame, result: Any, engine: Engine
    ) -> None:
        """Publish on the topics in ``names``, each with the input's header."""

    @abstractmethod
    def _status_values(self, result: Any) -> dict[str, object]:
        """Give what ``~/frame_status`` tells of the result."""

    def _reason_to_hold(self, result: Any, names: frozenset[str]) -> DropReason | None:
        """Return why nothing of a frame is published, or None."""
        return DropReason.FROZEN if result.held else None

    def _wanted_topics(self, subscribed: frozenset[str]) -> frozenset[str]:
        if self._parameters.flag('lazy') and subscribed:
            return subscribed
        return subscribed | {self.main_topic}

    def _publish_status(self, header: Any, times: FrameTimes, result: Any, engine: Engine) -> None:
        counts = self._account.counts()
        values: dict[str, object] = {
            name: 'nan' if value is None else value for name, value in vars(times).items()
        }
        values |= {
            'received_total': counts.received,
            'dropped_total': counts.dropped,
            'failed_total': counts.failed,
            'ffc': 'frozen' if result.frozen else 'none',
            **self._status_values(result),
            'saturated_share': result.saturated_share,
            'model_sha256': engine.student.sha256,
        }
        status = diagnostic_status(f'{self._name}: frame', _OK, '', values)
        self._outputs.publish('frame_status', diagnostic_array(header, [status]))

    def _frozen_s(self, frame: Frame, result: Any) -> float:
        """Tell for how long the camera has repeated one image, by header stamps."""
        if not result.frozen:
            self._frozen_since_ns = None
        elif self._frozen_since_ns is None or frame.stamp_ns < self._frozen_since_ns:
            self._frozen_since_ns = frame.stamp_ns
        since_ns = self._frozen_since_ns
        return 0.0 if since_ns is None else (frame.stamp_ns - since_ns) * 1e-9


def _milliseconds(age_ns: int | None) -> float | None:
    return None if age_ns is None else age_ns * 1e-6
