# SPDX-License-Identifier: Apache-2.0
"""A node under test in its own process, and a client that talks to it as any ROS node would."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

NAMESPACE = '/thermal'
NODE = f'{NAMESPACE}/thermal_seg'
TIMEOUT_S = 30.0
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'
TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Return the first true value of a condition; fail with a sentence when there is none."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f'{what} did not happen within {timeout_s:g} s')


class LiveNode:
    """The node's process."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        parameters: Mapping[str, Any],
        *,
        command: tuple[str, ...] = ('-m', 'kd_perception.nodes.thermal_seg_node'),
        remappings: Mapping[str, str] | None = None,
    ) -> None:
        arguments = ['--ros-args', '-r', f'__ns:={NAMESPACE}']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else value
            arguments += ['-p', f'{name}:={text}' if text != '' else f"{name}:=''"]
        for old, new in (remappings or {}).items():
            arguments += ['-r', f'{old}:={new}']
        self.log = log
        self.ended = False
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                env=dict(environment),
                cwd=Path(__file__).resolve().parents[2],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors='replace')

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def says(self, text: str, timeout_s: float = TIMEOUT_S) -> None:
        wait_until(lambda: text in self.output, f'{text!r} in the log', timeout_s)

    def end(self, signum: int = signal.SIGINT) -> int:
        """Ask the process to end; return its exit code."""
        self.ended = True
        if self.alive:
            self.process.send_signal(signum)
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def kill(self) -> None:
        if self.alive:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Client:
    """Publishes images, keeps what comes back, and calls services; spins in its own thread."""

    def __init__(self, name: str = 'client', *, reliable: bool = True) -> None:
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
            if status.name.startswith(NODE + ':'):
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
                    kinds.get(name, Image), f'{NODE}/{name}', self.received[name].append, depth
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
            client = self._clients[name] = self.node.create_client(kind, f'{NODE}/{name}')
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


def image(
    pixels: np.ndarray,
    stamp_ns: int,
    *,
    encoding: str = '',
    frame_id: str = 'thermal_optical',
    **changes: Any,
) -> Image:
    """Make an image message from an array; `changes` then spoil or adapt single fields."""
    default = {'uint8': 'mono8', 'uint16': 'mono16', 'float32': '32FC1'}[pixels.dtype.name]
    little = pixels.astype(pixels.dtype.newbyteorder('<'))
    message = Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding or default,
        step=pixels.strides[0] if pixels.flags.c_contiguous else pixels[0].nbytes,
    )
    message.data = array.array('B', little.tobytes())
    stamp(message, stamp_ns)
    message.header.frame_id = frame_id
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def stamp(message: Any, stamp_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


def pixels_of(message: Image) -> np.ndarray:
    """Return the array of a mono8 or 32FC1 output."""
    kind = {'mono8': np.uint8, '32FC1': np.float32, 'rgb8': np.uint8}[message.encoding]
    shape = (message.height, message.width) + ((3,) if message.encoding == 'rgb8' else ())
    return np.frombuffer(message.data, kind).reshape(shape)


def ramp(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A 16-bit scene with a left-to-right ramp, so that masks of the tiny student show all ids."""
    columns = np.linspace(29000, 31000, size[1])[None, :]
    noise = np.random.default_rng(seed).integers(0, 60, size)
    return (columns + noise).astype(np.uint16)
