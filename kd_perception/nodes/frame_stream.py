# SPDX-License-Identifier: Apache-2.0
"""What runs while the node is active: subscriptions, the mailbox and the worker behind them."""

from __future__ import annotations

from time import monotonic, monotonic_ns
from typing import Any, cast

from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.diagnostics import silence_text
from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.frame_input import FrameInput
from kd_perception.nodes.mailbox import Arrival, FrameAccount, Mailbox, QueuePolicy
from kd_perception.nodes.monitor import Monitor
from kd_perception.nodes.parameters import NodeParameters
from kd_perception.nodes.worker import FrameWorker


class FrameStream:
    """Moves frames from the camera topic to the handler until it is stopped.

    Args:
        node: The rclpy node.
        parameters: queue_policy, image_transport, camera_info.sync, input_timeout_s.
        handler: Answers frames, in the worker's thread.
        pairing: Is given the CameraInfo messages.
        account: Counts the frames.
        monitor: Told of arrivals and faults.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        handler: FrameHandler,
        pairing: CameraInfoPairing,
        account: FrameAccount,
        monitor: Monitor,
    ) -> None:
        self._logger = node.get_logger()
        self._parameters = parameters
        self._monitor = monitor
        self._told_silence = False
        policy = cast(QueuePolicy, parameters.text('queue_policy'))
        self._mailbox = Mailbox(account, policy)
        monitor.start_waiting()
        pairing.clear()
        with_info = parameters.text('camera_info.sync') != 'off'
        self.input = FrameInput(
            node,
            transport=parameters.text('image_transport'),
            every=policy == 'every',
            on_image=self._receive,
            on_camera_info=pairing.add if with_info else None,
        )
        try:
            self._worker = FrameWorker(
                self._mailbox, account, handler.handle, monitor, self._logger
            )
        except Exception:
            self.input.destroy()
            raise

    @property
    def silence_s(self) -> float:
        """Seconds since the last image, or since the start."""
        last_s = self._monitor.last_receipt_s
        return 0.0 if last_s is None else monotonic() - last_s

    def watch(self) -> None:
        """Adapt to the publishers; log once when images stop, and once when they come again."""
        self.input.adapt()
        silent = self.silence_s > self._parameters.number('input_timeout_s')
        if silent and not self._told_silence:
            publishers = self.input.publishers_seen()
            self._logger.error(silence_text(self.input.topic, self.silence_s, publishers))
        elif self._told_silence and not silent:
            self._logger.info(f'Images arrive on {self.input.topic}.')
        self._told_silence = silent

    def stop(self) -> None:
        """Stop listening, finish the frame in work and drop those that wait."""
        self.input.destroy()
        self._worker.stop()

    def _receive(self, message: Any) -> None:
        self._monitor.receive()
        self._mailbox.put(Arrival(message, monotonic_ns(), len(message.data)))
