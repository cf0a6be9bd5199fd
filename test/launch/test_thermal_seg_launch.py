# SPDX-License-Identifier: Apache-2.0
"""The launch file, loaded and really launched; needs launch_ros and the installed package."""

from __future__ import annotations

import array
import importlib.util
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed')
rclpy = pytest.importorskip('rclpy')
from launched import LAUNCH_FOLDER, Launched

from kd_perception.nodes import launching

pytestmark = [pytest.mark.launch, pytest.mark.ros]

LAUNCH_FILE = LAUNCH_FOLDER / 'thermal_seg.launch.py'


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
    assert launching.parameters_from_arguments(empty) == {}
    assert launching.remappings_from_arguments(empty) == []


def test_given_arguments_become_typed_parameters(launch_file: ModuleType) -> None:
    from launch import LaunchContext

    values = dict.fromkeys([name for name, _, _ in launch_file.ARGUMENTS], '')
    values |= {'student': '7', 'autostart': 'False', 'use_sim_time': '1'}
    parameters = launching.parameters_from_arguments(values)
    student = parameters.pop('model.path')
    # A bare '7' in a parameter dictionary would arrive at the node as an integer.
    assert student.evaluate(LaunchContext()) == '7'
    assert parameters == {'autostart': False, 'use_sim_time': True}


def test_a_flag_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(ValueError, match="respawn must be true or false, received 'yes please'"):
        launching.flag_from_text('respawn', 'yes please')


@pytest.mark.parametrize(
    ('namespace', 'expected'),
    [
        ('/front/thermal', '/front/thermal/seg/mask'),
        ('/robot1/thermal', '/robot1/thermal/seg/mask'),
        ('/', '/seg/mask'),
    ],
)
def test_rviz_follows_the_namespace(
    launch_file: ModuleType, namespace: str, expected: str
) -> None:
    topics = launch_file.SHOWN_TOPICS
    remappings = launching.rviz_remappings({'name': 'seg'}, '/thermal/thermal_seg', topics)
    rules = [part for rule in remappings for part in ('-r', '{}:={}'.format(*rule))]
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(
        'rviz', namespace=namespace, context=context, cli_args=['--ros-args', *rules]
    )
    try:
        assert node.resolve_topic_name('/thermal/thermal_seg/mask') == expected
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


Launch = Callable[..., Launched]


@pytest.fixture
def launch_seg(launch: Launch, tiny_student_folder: Path) -> Launch:
    def start(*arguments: str, node_name: str = '/thermal/thermal_seg') -> Launched:
        student = f'student:={tiny_student_folder}'
        return launch('thermal_seg.launch.py', student, *arguments, node_name=node_name)

    return start


@pytest.mark.slow
def test_launch_brings_the_node_to_active_and_it_answers(launch_seg: Launch) -> None:
    from sensor_msgs.msg import Image

    launched = launch_seg(
        'namespace:=front', 'name:=seg', 'image_topic:=ir', node_name='/front/seg'
    )
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
def test_without_autostart_the_node_waits_for_its_manager(launch_seg: Launch) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    launched = launch_seg('autostart:=false')
    assert launched.state() == 'unconfigured'
    time.sleep(2.0)
    assert launched.state() == 'unconfigured'
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert launched.call(ChangeState, 'change_state', request).success
    assert launched.state() == 'active'


@pytest.mark.slow
def test_a_respawned_node_becomes_active_again(launch_seg: Launch) -> None:
    launched = launch_seg('respawn:=true')
    launched.wait_for_state('active')
    os.kill(launched.node_pids()[0], signal.SIGKILL)
    launched.wait_until(lambda: len(launched.node_pids()) == 2, 'second start')
    launched.wait_until(
        lambda: launched.output.count('Active on') == 2, 'activation after the second start'
    )
    launched.wait_for_state('active')
