# SPDX-License-Identifier: Apache-2.0
"""A launch file as a module, and one that runs in its own process."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy')

LAUNCH_FOLDER = Path(__file__).resolve().parents[2] / 'launch'
TIMEOUT_S = 40.0
LAUNCHER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [tuple(text.split(':=', 1)) for text in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


def loaded(name: str) -> ModuleType:
    """Import a launch file as `ros2 launch` does."""
    path = LAUNCH_FOLDER / f'{name}.launch.py'
    spec = importlib.util.spec_from_file_location(f'{name}_launch', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Answer:
    """The answer to a request; one that may be repeated is sent again until there is one.

    A killed node stays discovered for its lease of some 20 s; a request that went to it is lost.
    """

    def __init__(self, client: Any, request: Any, repeat_s: float) -> None:
        self._client, self._request, self._repeat_s = client, request, repeat_s
        self._send()

    def take(self) -> Any:
        if self._future.done():
            return self._future.result()
        if time.monotonic() > self._sent_s + self._repeat_s:
            self._send()
        return None

    def _send(self) -> None:
        self._future = self._client.call_async(self._request)
        self._sent_s = time.monotonic()


class Launched:
    """A running launch in its own process, and questions to the node that it started."""

    def __init__(
        self, file: Path, folder: Path, domain: int, node_name: str, arguments: list[str]
    ) -> None:
        self._log = folder / 'launch.log'
        environment = os.environ | {
            'ROS_DOMAIN_ID': str(domain),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_LOG_DIR': str(folder),
            'PYTHONUNBUFFERED': '1',
        }
        with self._log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-c', LAUNCHER, str(file), *arguments],
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('asker', context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._name = node_name

    @property
    def output(self) -> str:
        return self._log.read_text(errors='replace')

    def wait_until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if found := condition():
                return found
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError(f'{what} did not happen; the launch said:\n{self.output}')

    def call(self, kind: Any, name: str, request: Any, repeat_s: float = TIMEOUT_S) -> Any:
        return self._ask(kind, f'{self._name}/{name}', request, repeat_s)

    def parameters(self, node_name: str, *names: str) -> tuple[Any, ...]:
        """Ask any node for values of parameters."""
        from rcl_interfaces.srv import GetParameters

        request = GetParameters.Request(names=names)
        answer = self._ask(GetParameters, f'{node_name}/get_parameters', request, repeat_s=1.0)
        return tuple(map(rclpy.parameter.parameter_value_to_python, answer.values))

    def _ask(self, kind: Any, name: str, request: Any, repeat_s: float) -> Any:
        client = self.node.create_client(kind, name)
        try:
            self.wait_until(client.service_is_ready, f'service {name}')
            answer = _Answer(client, request, repeat_s)
            return self.wait_until(answer.take, f'answer of {name}')
        finally:
            self.node.destroy_client(client)

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        answer = self.call(GetState, 'get_state', GetState.Request(), repeat_s=1.0)
        return str(answer.current_state.label)

    def wait_for_state(self, state: str) -> None:
        self.wait_until(lambda: self.state() == state, f'state {state}')

    def node_pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r'process started with pid \[(\d+)\]', self.output)]

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
