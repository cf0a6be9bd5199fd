# SPDX-License-Identifier: Apache-2.0
"""A client that talks to the node under test as any ROS node would."""

from __future__ import annotations

import threading
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from live_node import NAMESPACE, NODE, TIMEOUT_S, wait_until
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'
TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


class Client:
    """Publishes images, keeps what comes back, and calls services; spins in its own thread."""

    def __init__(self, name: str = 'client', *, reliable: bool = True, target: str = NODE) -> None:
        self.target = target
        self.node = Node(name, namespace=NAMESPACE)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.diagnostics_count = 0
        quality = (
            QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
            if reliable
            else qos_profile_sensor_data
        )
        self.images = self.node.create_publisher(Image, 'image_raw', quality)
        self.compressed = self.node.create_publisher(
            CompressedImage, 'image_raw/compressed', quality
        )
        self.infos = self.node.create_publisher(CameraInfo, 'camera_info', quality)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, 10)
        self._clients: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self.executor.wake()
        self._thread.join(5.0)
        self.executor.shutdown()
        self.node.destroy_node()

    def _spin(self) -> None:
        while not self._stopping and rclpy.ok():
            self.executor.spin_once(timeout_sec=0.1)

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self.target + ':'):
                self.diagnostics[status.name.split(': ')[1]] = status
        self.diagnostics_count += 1

    # Topics.

    def listen(self, *names: str, depth: int = 500) -> None:
        """Subscribe to output topics and wait until the node sees it."""
        kinds = {'camera_info': CameraInfo, 'frame_status': DiagnosticArray}
        for name in names:
            if name not in self._subscriptions:
                self.received[name] = []
                self._subscriptions[name] = self.node.create_subscription(
                    kinds.get(name.split('/')[-1], Image),
                    f'{self.target}/{name}',
                    self.received[name].append,
                    depth,
                )
        wait_until(lambda: set(names) <= self._listened_to(), f'discovery of listeners to {names}')

    def _listened_to(self) -> set[str]:
        status = self.diagnostics.get('input')
        return set(self.status('input')['outputs_listened_to'].split()) if status else set()

    def ignore(self, *names: str) -> None:
        for name in names:
            self.node.destroy_subscription(self._subscriptions.pop(name))

    def wait_for_input(self, publisher: Any = None) -> None:
        """Wait until the node listens to the images, and both sides know it."""
        publisher = publisher or self.images
        wait_until(lambda: publisher.get_subscription_count() > 0, 'subscription to the images')
        name = self.node.get_fully_qualified_name()
        wait_until(
            lambda: 'input' in self.diagnostics and name in self.status('input')['publishers'],
            'discovery of the publisher by the node',
        )

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def answer(self, message: Any, name: str = 'mask', timeout_s: float = TIMEOUT_S) -> Any:
        """Publish an image and return the output that carries its header."""
        self.images.publish(message)
        return self.output_for(message.header, name, timeout_s)

    def output_for(self, header: Any, name: str = 'mask', timeout_s: float = TIMEOUT_S) -> Any:
        return wait_until(
            lambda: next((m for m in reversed(self.received[name]) if m.header == header), None),
            f'{name} for the image stamped {header.stamp}',
            timeout_s,
        )

    # Diagnostics.

    def status(self, entry: str) -> dict[str, str]:
        """Return the values of a diagnostics entry, as last heard."""
        return {value.key: value.value for value in self.diagnostics[entry].values}

    def fresh_diagnostics(self) -> None:
        """Wait for diagnostics that were made after now."""
        target = self.diagnostics_count + 2
        wait_until(lambda: self.diagnostics_count >= target, 'two diagnostics messages')

    def diagnosed(self, entry: str, level: bytes, text: str = '') -> DiagnosticStatus:
        """Wait until an entry has this level and says this text."""

        def found() -> DiagnosticStatus | None:
            status = self.diagnostics.get(entry)
            matches = status is not None and status.level == level and text in status.message
            return status if matches else None

        try:
            return wait_until(found, f'{entry} at level {level!r} saying {text!r}', 15.0)
        except AssertionError as error:
            raise AssertionError(f'{error}; last: {self.diagnostics.get(entry)}') from None

    def counts(self) -> dict[str, int]:
        """Return fresh totals of the node's frame account."""
        self.fresh_diagnostics()
        status = self.status('input')
        names = ('received', 'published', 'dropped', 'failed', 'pending')
        return {name: int(status[name]) for name in names}

    def wait_for_count(self, name: str, number: int) -> None:
        """Wait until a total of the node's frame account reaches a number."""
        wait_until(
            lambda: int(self.status('input')[name]) >= number,
            f'{number} frames {name} (last: {self.status("input")[name]})',
        )

    # Services.

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, f'{self.target}/{name}')
        assert client.wait_for_service(timeout_s), f'no service {name}'
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout_s), f'no answer from {name}'
        return future.result()

    def transition(self, name: str) -> bool:
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
        return bool(self.call(ChangeState, 'change_state', request).success)

    def shut_down(self) -> bool:
        request = ChangeState.Request(transition=Transition(label='shutdown'))
        return bool(self.call(ChangeState, 'change_state', request).success)

    def state(self) -> str:
        return str(self.call(GetState, 'get_state', GetState.Request()).current_state.label)

    def wait_for_state(self, state: str) -> None:
        wait_until(lambda: self.state() == state, f'state {state}')

    def set_parameters(self, **values: Any) -> Any:
        """Set parameters at once; `__` in a name stands for a dot. Returns the result message."""
        messages: list[ParameterMessage] = [
            Parameter(name.replace('__', '.'), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=messages)
        return self.call(SetParametersAtomically, 'set_parameters_atomically', request).result

    def get_parameter(self, name: str) -> Any:
        request = GetParameters.Request(names=[name])
        return self.call(GetParameters, 'get_parameters', request).values[0]

    def describe_parameters(self, names: list[str]) -> list[Any]:
        request = DescribeParameters.Request(names=names)
        return list(self.call(DescribeParameters, 'describe_parameters', request).descriptors)

    def enable(self, value: bool) -> Any:
        return self.call(SetBool, 'enable', SetBool.Request(data=value))

    def trigger(self, name: str) -> Any:
        return self.call(Trigger, name, Trigger.Request())
