# SPDX-License-Identifier: Apache-2.0
"""One frame from message to messages: admit, convert, run the pipeline, publish, take times."""

from __future__ import annotations

from time import monotonic_ns, perf_counter
from typing import Any

from kd_perception.encodings import COLOR_ENCODINGS
from kd_perception.frames import Frame
from kd_perception.nodes.admission import Admission
from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount
from kd_perception.nodes.messages import diagnostic_array, diagnostic_status, frame_from_message
from kd_perception.nodes.model_slot import Engine, ModelSlot
from kd_perception.nodes.monitor import FrameTimes, Monitor, ThermalState
from kd_perception.nodes.outputs import Outputs, needed_outputs, wanted_topics
from kd_perception.nodes.parameters import NodeParameters
from kd_perception.pipeline import Result

_OK = b'\x00'


class FrameHandler:
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

    def __init__(
        self,
        name: str,
        parameters: NodeParameters,
        slot: ModelSlot,
        outputs: Outputs,
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
        names = wanted_topics(subscribed, self._parameters.flag('lazy'))
        start_s = perf_counter()
        frame = frame_from_message(arrival.message)
        converted_s = perf_counter()
        with self._slot.lease() as engine:
            result = engine.pipeline.step(frame, needed_outputs(names))
        self._monitor.look(self._thermal_state(frame, result, engine))
        self._note_color(frame)
        if result.held:
            return DropReason.FROZEN
        stepped_s = perf_counter()
        self._publish(arrival.message.header, names, frame, result, engine)
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
            self._publish_status(arrival.message.header, times, result, engine)
        return None

    def _publish(
        self,
        header: Any,
        names: frozenset[str],
        frame: Frame,
        result: Result,
        engine: Engine,
    ) -> None:
        self._outputs.publish_images(names, header, result, engine.palette)
        height, width = frame.image.shape[:2]
        output_height, output_width = result.mask.shape
        info = self._pairing.info_for(header, (height, width), (output_height, output_width))
        if info is not None and 'camera_info' in names:
            self._outputs.publish('camera_info', info)

    def _publish_status(
        self, header: Any, times: FrameTimes, result: Result, engine: Engine
    ) -> None:
        counts = self._account.counts()
        values: dict[str, object] = {
            name: 'nan' if value is None else value for name, value in vars(times).items()
        }
        values |= {
            'received_total': counts.received,
            'dropped_total': counts.dropped,
            'failed_total': counts.failed,
            'ffc': 'frozen' if result.frozen else 'none',
            'agc_low': result.agc_low,
            'agc_high': result.agc_high,
            'saturated_share': result.saturated_share,
            'model_sha256': engine.student.sha256,
        }
        status = diagnostic_status(f'{self._name}: frame', _OK, '', values)
        self._outputs.publish('frame_status', diagnostic_array(header, [status]))

    def _thermal_state(self, frame: Frame, result: Result, engine: Engine) -> ThermalState:
        if not result.frozen:
            self._frozen_since_ns = None
        elif self._frozen_since_ns is None or frame.stamp_ns < self._frozen_since_ns:
            self._frozen_since_ns = frame.stamp_ns
        since_ns = self._frozen_since_ns
        radiometry = engine.pipeline.config.radiometry
        low, high = result.agc_low, result.agc_high
        return ThermalState(
            encoding=frame.encoding,
            low=low,
            high=high,
            low_c=None if radiometry is None else radiometry.scale * low + radiometry.offset,
            high_c=None if radiometry is None else radiometry.scale * high + radiometry.offset,
            frozen=result.frozen,
            frozen_s=0.0 if since_ns is None else (frame.stamp_ns - since_ns) * 1e-9,
            saturated_share=result.saturated_share,
        )

    def _note_color(self, frame: Frame) -> None:
        if frame.encoding in COLOR_ENCODINGS:
            self._monitor.note('color_input')


def _milliseconds(age_ns: int | None) -> float | None:
    return None if age_ns is None else age_ns * 1e-6
