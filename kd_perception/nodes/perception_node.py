# SPDX-License-Identifier: Apache-2.0
"""What the lifecycle nodes of all tasks share: images in, results out.

The executor thread receives messages, answers services and moves between lifecycle states. One
worker thread does everything that takes time with a frame. Both share the objects made here.
"""

from __future__ import annotations

import traceback
from abc import abstractmethod
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
from kd_perception.nodes.output_topics import OutputTopics
from kd_perception.nodes.parameters import NodeParameters
from kd_perception.parameters.spec import ParameterValue
from kd_perception.pipeline import gain_difference
from kd_perception.tasks import Task

_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
_TICK_S = 0.1


class PerceptionNode(LifecycleNode):
    """A student on a camera's topic; topics, services and parameters are those of README.md."""

    task: Task[Any]
    scene: str
    """The diagnostics entry that says what the camera shows."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare parameters and services; the model is loaded on configure."""
        super().__init__(self.task.table.node_name, **kwargs)
        self.state = 'unconfigured'
        self.account = FrameAccount()
        self.monitor = Monitor()
        self.slot = ModelSlot()
        self.outputs: OutputTopics | None = None
        self.pairing: CameraInfoPairing | None = None
        self.stream: FrameStream | None = None
        self._handler: FrameHandler | None = None
        self.parameters = NodeParameters(
            self,
            self.task.table,
            is_configured=self._is_configured,
            apply=self._apply_parameters,
        )
        self.admission = Admission(self.parameters, self.monitor, self._now_ns, self.get_logger())
        self._reload = ModelReload(
            self,
            self.parameters,
            self._load_engine,
            self.slot,
            self.monitor,
            on_installed=self._announce,
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
            engine = self._load_engine(self.parameters.values)
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
        self._announce()
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

    # What a task has of its own.

    @abstractmethod
    def _make_outputs(self, engine: Engine, depth: int) -> OutputTopics:
        """Make the topics; ``depth`` is what the middleware keeps of each."""

    @abstractmethod
    def _make_handler(self, *arguments: Any) -> FrameHandler:
        """Make what answers frames; the arguments are those of `FrameHandler`."""

    def _announce(self) -> None:
        """Tell listeners of the model in use, on activate and after a reload."""

    def _on_changed(self, values: Mapping[str, ParameterValue], changed: frozenset[str]) -> None:
        """Act on parameters that changed while the node is configured."""

    def _tell_more(self, engine: Engine) -> None:
        """Log what else is worth to know of a model."""

    # How it works.

    def _load_engine(self, values: Mapping[str, ParameterValue]) -> Engine:
        return load_engine(values, self.task)

    def _create_outputs(self, engine: Engine) -> None:
        p = self.parameters
        self.pairing = CameraInfoPairing(p.text('camera_info.sync'))
        depth = EVERY_DEPTH if p.text('queue_policy') == 'every' else 2
        self.outputs = self._make_outputs(engine, depth)
        self._handler = self._make_handler(
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
        self._tell_more(engine)

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
        self.slot.configure(self.task.table.pipeline_config(values))
        self._on_changed(values, changed)

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
