# SPDX-License-Identifier: Apache-2.0
"""The launch file, loaded and really launched; needs launch_ros and the installed package."""

from __future__ import annotations

import array
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed')
rclpy = pytest.importorskip('rclpy')
pytestmark = [pytest.mark.launch, pytest.mark.ros]

LAUNCH_FILE = Path(__file__).resolve().parents[2] / 'launch' / 'thermal_seg.launch.py'
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


@pytest.fixture(scope='module')
def launch_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location('thermal_seg_launch', LAUNCH_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared_arguments(launch_file: ModuleType) -> dict[str, Any]:
    description = launch_file.generate_launch_description()
    return {argument.name: argument for argument in description.get_launch_arguments()}


def test_arguments_are_those_of_the_interface(launch_file: ModuleType) -> None:
    arguments = declared_arguments(launch_file)
    assert set(arguments) == {
        *('namespace', 'name', 'image_topic', 'camera_info_topic', 'image_transport'),
        *('params_file', 'student', 'backend', 'device', 'precision', 'autostart'),
        *('use_sim_time', 'log_level', 'respawn', 'rviz'),
    }
    assert all(argument.description for argument in arguments.values())
    assert all(argument.default_value is not None for argument in arguments.values())


def test_empty_arguments_leave_everything_to_the_parameter_file(launch_file: ModuleType) -> None:
    empty = dict.fromkeys([name for name, _, _ in launch_file.ARGUMENTS], '')
    assert launch_file.parameters_from_arguments(empty) == {}
    assert launch_file.remappings_from_arguments(empty) == []


def test_given_arguments_become_typed_parameters(launch_file: ModuleType) -> None:
    from launch import LaunchContext

    values = dict.fromkeys([name for name, _, _ in launch_file.ARGUMENTS], '')
    values |= {'student': '7', 'autostart': 'False', 'use_sim_time': '1'}
    parameters = launch_file.parameters_from_arguments(values)
    student = parameters.pop('model.path')
    # A bare '7' in a parameter dictionary would arrive at the node as an integer.
    assert student.evaluate(LaunchContext()) == '7'
    assert parameters == {'autostart': False, 'use_sim_time': True}


def test_a_flag_that_is_neither_true_nor_false_is_refused(launch_file: ModuleType) -> None:
    with pytest.raises(ValueError, match="respawn must be true or false, received 'yes please'"):
        launch_file.flag_from_text('respawn', 'yes please')


@pytest.mark.parametrize(
    ('namespace', 'expected'),
    [('front/thermal', '/front/thermal/seg/mask'), ('/t', '/t/seg/mask'), ('', '/seg/mask')],
)
def test_rviz_follows_the_namespace(
    launch_file: ModuleType, namespace: str, expected: str
) -> None:
    remappings = dict(launch_file.rviz_remappings(namespace, 'seg'))
    assert remappings['/thermal/thermal_seg/mask'] == expected


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

    def __init__(self, folder: Path, domain: int, node_name: str, arguments: list[str]) -> None:
        self._log = folder / 'launch.log'
        environment = os.environ | {
            'ROS_DOMAIN_ID': str(domain),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_LOG_DIR': str(folder),
            'PYTHONUNBUFFERED': '1',
        }
        with self._log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-c', LAUNCHER, str(LAUNCH_FILE), *arguments],
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
        client = self.node.create_client(kind, f'{self._name}/{name}')
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


Launch = Callable[..., Launched]


@pytest.fixture
def launch(tmp_path: Path, tiny_student_folder: Path) -> Iterator[Launch]:
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        packages.get_package_prefix('kd_perception')
    except packages.PackageNotFoundError:
        pytest.skip('kd_perception is not installed: colcon build, then source install/setup.bash')
    started: list[Launched] = []

    def start(*arguments: str, node_name: str = '/thermal/thermal_seg') -> Launched:
        domain = int(os.environ.get('ROS_DOMAIN_ID', 0)) or 60 + os.getpid() % 40
        student = f'student:={tiny_student_folder}'
        started.append(Launched(tmp_path, domain, node_name, [student, *arguments]))
        return started[-1]

    yield start
    for launched in started:
        launched.close()


@pytest.mark.slow
def test_launch_brings_the_node_to_active_and_it_answers(launch: Launch) -> None:
    from sensor_msgs.msg import Image

    launched = launch('namespace:=front', 'name:=seg', 'image_topic:=ir', node_name='/front/seg')
    launched.wait_for_state('active')
    camera = launched.node.create_publisher(Image, '/front/ir', 10)
    masks: list[Any] = []
    launched.node.create_subscription(Image, '/front/seg/mask', masks.append, 10)
    launched.wait_until(camera.get_subscription_count, 'subscription of the node')
    launched.wait_until(
        lambda: launched.node.count_publishers('/front/seg/mask'), 'publisher of the mask'
    )
    image = Image(height=96, width=128, encoding='mono8', step=128)
    image.data = array.array('B', bytes(range(128)) * 96)
    image.header.frame_id = 'thermal_optical'

    def answered() -> bool:
        image.header.stamp = launched.node.get_clock().now().to_msg()
        camera.publish(image)
        return bool(masks)

    launched.wait_until(answered, 'a mask')
    assert (masks[0].height, masks[0].width, masks[0].encoding) == (96, 128, 'mono8')
    assert launched.end() == 0
    assert 'Traceback' not in launched.output


@pytest.mark.slow
def test_without_autostart_the_node_waits_for_its_manager(launch: Launch) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    launched = launch('autostart:=false')
    assert launched.state() == 'unconfigured'
    time.sleep(2.0)
    assert launched.state() == 'unconfigured'
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert launched.call(ChangeState, 'change_state', request).success
    assert launched.state() == 'active'


@pytest.mark.slow
def test_a_respawned_node_becomes_active_again(launch: Launch) -> None:
    launched = launch('respawn:=true')
    launched.wait_for_state('active')
    os.kill(launched.node_pids()[0], signal.SIGKILL)
    launched.wait_until(lambda: len(launched.node_pids()) == 2, 'second start')
    launched.wait_until(
        lambda: launched.output.count('Active on') == 2, 'activation after the second start'
    )
    launched.wait_for_state('active')
