# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `thermal_seg`: thermal images in; mask, confidence and uncertainty out.

The executor thread receives messages, answers services and moves between lifecycle states. One
worker thread does everything that takes time with a frame. Both share the objects made here.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from kd_perception.errors import KdPerceptionError
from kd_perception.nodes.admission import Admission
from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.diagnostics_reporter import DiagnosticsReporter
from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.frame_input import EVERY_DEPTH
from kd_perception.nodes.frame_stream import FrameStream
from kd_perception.nodes.mailbox import FrameAccount
from kd_perception.nodes.model_reload import ModelReload
from kd_perception.nodes.model_slot import Engine, ModelSlot, load_engine
from kd_perception.nodes.monitor import Monitor
from kd_perception.nodes.node_process import run_node
from kd_perception.nodes.outputs import Outputs, has_vision_msgs
from kd_perception.nodes.parameters import NodeParameters
from kd_perception.parameters.table import ParameterValue, pipeline_config_from_parameters
from kd_perception.pipeline import gain_difference

_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
_TICK_S = 0.1


class ThermalSegNode(LifecycleNode):
    """Segments thermal images; topics, services and parameters are those of README.md."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare parameters and services; the model is loaded on configure."""
        super().__init__('thermal_seg', **kwargs)
        self.state = 'unconfigured'
        self.account = FrameAccount()
        self.monitor = Monitor()
        self.slot = ModelSlot()
        self.outputs: Outputs | None = None
        self.pairing: CameraInfoPairing | None = None
        self.stream: FrameStream | None = None
        self._handler: FrameHandler | None = None
        self.parameters = NodeParameters(
            self, is_configured=self._is_configured, apply=self._apply_parameters
        )
        self.admission = Admission(self.parameters, self.monitor, self._now_ns, self.get_logger())
        self._reload = ModelReload(
            self, self.parameters, self.slot, self.monitor, on_installed=self._publish_labels
        )
        self._create_services()
        # Timers run on the steady clock: a paused /clock must not stop diagnostics.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        reporter = DiagnosticsReporter(self)
        self.create_timer(reporter.period_s, reporter.publish, clock=steady)
        self.create_timer(_TICK_S, self._tick, clock=steady)
        self._starts_itself = self.parameters.flag('autostart')

    def _create_services(self) -> None:
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_service(
            Trigger,
            '~/reload_model',
            self._reload.answer,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    # Lifecycle. Each step leaves nothing behind when it fails.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the model and create the outputs; refused if the model cannot be used."""
        try:
            engine = load_engine(self.parameters.values)
            self.monitor.clear()
            self.slot.install(engine)
            self._create_outputs(engine)
        except KdPerceptionError as error:
            self.monitor.fault('load', str(error))
            self.get_logger().error(f'Configure refused: {error}')
            return _FAILURE
        except Exception as error:
            return self._fail('configure', error)
        self.state = 'inactive'
        self._tell_model(engine)
        return _SUCCESS

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Start to listen and to answer."""
        assert self._handler is not None
        assert self.pairing is not None
        try:
            self.stream = FrameStream(
                self, self.parameters, self._handler, self.pairing, self.account, self.monitor
            )
        except Exception as error:
            return self._fail('activate', error)
        self.state = 'active'
        self._publish_labels()
        self.get_logger().info(f'Active on {self.stream.input.topic}.')
        return _SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Finish the frame in work and stop listening."""
        self._stop_stream()
        self.state = 'inactive'
        return _SUCCESS

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Release the model and the outputs."""
        self._release()
        self.state = 'unconfigured'
        return _SUCCESS

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        self._release()
        self.state = 'finalized'
        return _SUCCESS

    on_error = on_cleanup  # so that the node can be configured again

    def close(self) -> None:
        """Release everything at the end of the process."""
        self._release()
        self.state = 'finalized'

    def _create_outputs(self, engine: Engine) -> None:
        p = self.parameters
        self.pairing = CameraInfoPairing(p.text('camera_info.sync'))
        self.outputs = Outputs(
            self,
            depth=EVERY_DEPTH if p.text('queue_policy') == 'every' else 2,
            deadline_ms=p.number('deadline_ms'),
            with_temperature=engine.pipeline.config.radiometry is not None,
            with_camera_info=p.text('camera_info.sync') != 'off',
        )
        self._handler = FrameHandler(
            self.get_fully_qualified_name(),
            p,
            self.slot,
            self.outputs,
            self.pairing,
            self.admission,
            self.account,
            self.monitor,
        )

    def _tell_model(self, engine: Engine) -> None:
        student, backend = engine.student, engine.backend
        self.get_logger().info(
            f'Model {student.spec.name} ({student.sha256[:12]}) on {backend.name}, '
            f'{backend.device}, {backend.precision}, {backend.threads} threads.'
        )
        difference = gain_difference(student, engine.pipeline.config)
        if difference:
            self.get_logger().warning(difference)
        if not has_vision_msgs():
            self.get_logger().warning(
                'vision_msgs is not installed: ~/label_info is not published.', once=True
            )

    def _fail(self, step: str, error: Exception) -> TransitionCallbackReturn:
        self.monitor.fault('load', f'{step}: {error}')
        self.get_logger().error(f'Unexpected error in {step}:\n{traceback.format_exc()}')
        return _ERROR

    def _stop_stream(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.stop()

    def _release(self) -> None:
        self._stop_stream()
        self.slot.clear()
        self._reload.join()
        outputs, self.outputs = self.outputs, None
        if outputs is not None:
            outputs.destroy()
        self._handler = self.pairing = None

    # Parameters, services, timer.

    def _is_configured(self) -> bool:
        return self.state in ('inactive', 'active')

    def _apply_parameters(
        self, values: Mapping[str, ParameterValue], changed: frozenset[str]
    ) -> None:
        if not self._is_configured():
            return
        self.slot.configure(pipeline_config_from_parameters(values))
        if 'min_confidence' in changed:
            self._publish_labels(float(values['min_confidence']))

    def _publish_labels(self, threshold: float | None = None) -> None:
        if threshold is None:
            threshold = self.parameters.number('min_confidence')
        if self.outputs is not None and self.slot.engine is not None:
            self.outputs.publish_labels(self.slot.engine.student, threshold)

    def _on_enable(self, request: Any, response: Any) -> Any:
        self.admission.enabled = bool(request.data)
        response.success = True
        response.message = 'enabled' if request.data else 'disabled: frames are dropped'
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        response.success = self._is_configured()
        response.message = 'the next frame starts anew' if response.success else 'not configured'
        if response.success:
            self.slot.request_reset()
        return response

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _tick(self) -> None:
        if self._starts_itself:
            self._starts_itself = False
            self._start()
        if self.stream is not None:
            self.stream.watch()

    def _start(self) -> None:
        """Configure and activate, unless somebody else began to."""
        if self.state == 'unconfigured' and self.trigger_configure() != _SUCCESS:
            return
        if self.state == 'inactive':
            self.trigger_activate()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run_node(ThermalSegNode, args)


if __name__ == '__main__':
    sys.exit(main())
