# SPDX-License-Identifier: Apache-2.0
"""The launch files of depth and of color segmentation."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed')
pytest.importorskip('rclpy')
from hand_made_depth import color_ramp
from launched import Launched, loaded

pytestmark = [pytest.mark.launch, pytest.mark.ros]


def actions_with(module: ModuleType, **changes: str) -> list[Any]:
    """Resolve the arguments as a launch does; give the actions of nodes."""
    from launch import LaunchContext

    context = LaunchContext()
    values = {name: default for name, default, _ in module.ARGUMENTS if isinstance(default, str)}
    values |= {'params_file': '/tmp/params.yaml', **changes}
    context.launch_configurations.update(values)
    return list(module.start_nodes(context))


def test_a_point_cloud_is_made_only_when_asked_for() -> None:
    module = loaded('mono_depth')
    assert len(actions_with(module)) == 2  # RViz is the other, under a condition
    assert len(actions_with(module, point_cloud='true')) == 3
    with pytest.raises(ValueError, match='point_cloud must be true or false'):
        actions_with(module, point_cloud='maybe')


@pytest.mark.parametrize('name', ['mono_depth', 'rgb_seg', 'perception', 'thermal_seg'])
def test_every_launch_file_declares_its_arguments(name: str) -> None:
    description = loaded(name).generate_launch_description()
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert {'autostart', 'use_sim_time', 'log_level', 'respawn'} <= set(arguments)
    assert all(argument.default_value is not None for argument in arguments.values())


@pytest.mark.slow
def test_launch_brings_the_depth_node_to_active_and_it_answers(
    launch: Callable[..., Launched], tiny_depth_folder: Path
) -> None:
    from sensor_msgs.msg import CameraInfo, Image

    launched = launch(
        'mono_depth.launch.py',
        *(f'student:={tiny_depth_folder}', 'namespace:=front', 'image_topic:=rgb/image_rect'),
        node_name='/front/mono_depth',
    )
    launched.wait_for_state('active')
    camera = launched.node.create_publisher(Image, '/front/rgb/image_rect', 10)
    infos = launched.node.create_publisher(CameraInfo, '/front/rgb/camera_info', 10)
    depths: list[Any] = []
    launched.node.create_subscription(Image, '/front/mono_depth/depth/image', depths.append, 10)
    launched.wait_until(camera.get_subscription_count, 'subscription to the image')
    launched.wait_until(infos.get_subscription_count, 'subscription to camera_info')
    image = Image(height=96, width=128, encoding='rgb8', step=384)
    image.data = array.array('B', color_ramp().tobytes())
    image.header.frame_id = 'rgb_optical'
    info = CameraInfo(height=96, width=128, k=[100.0, 0, 64, 0, 100.0, 48, 0, 0, 1.0])

    def answered() -> bool:
        image.header.stamp = launched.node.get_clock().now().to_msg()
        info.header = image.header
        infos.publish(info)
        camera.publish(image)
        return bool(depths)

    launched.wait_until(answered, 'depth')
    assert (depths[0].height, depths[0].width, depths[0].encoding) == (96, 128, '32FC1')
    assert launched.end() == 0
    assert 'Traceback' not in launched.output


@pytest.mark.slow
def test_a_color_student_segments_under_its_own_name(
    launch: Callable[..., Launched], tiny_color_folder: Path
) -> None:
    from sensor_msgs.msg import Image

    launched = launch(
        'rgb_seg.launch.py', f'student:={tiny_color_folder}', node_name='/camera/rgb_seg'
    )
    launched.wait_for_state('active')
    camera = launched.node.create_publisher(Image, '/camera/image_raw', 10)
    masks: list[Any] = []
    launched.node.create_subscription(Image, '/camera/rgb_seg/mask', masks.append, 10)
    launched.wait_until(camera.get_subscription_count, 'subscription to the image')
    image = Image(height=96, width=128, encoding='rgb8', step=384)
    image.data = array.array('B', color_ramp().tobytes())

    def answered() -> bool:
        image.header.stamp = launched.node.get_clock().now().to_msg()
        camera.publish(image)
        return bool(masks)

    launched.wait_until(answered, 'a mask')
    assert (masks[0].height, masks[0].width, masks[0].encoding) == (96, 128, 'mono8')
    assert launched.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mono_depth', 'rgb_seg'])
def test_the_shipped_student_runs_without_any_argument(
    launch: Callable[..., Launched], name: str
) -> None:
    launched = launch(f'{name}.launch.py', node_name=f'/camera/{name}')
    launched.wait_for_state('active')
    assert launched.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mono_depth', 'rgb_seg'])
def test_without_its_student_the_log_says_how_to_make_one(
    launch: Callable[..., Launched], name: str
) -> None:
    launched = launch(f'{name}.launch.py', 'student:=absent', node_name=f'/camera/{name}')
    said = 'Configure refused: a student must be the name of a shipped one'
    launched.wait_until(lambda: said in launched.output, 'refusal')
    assert 'python -m training.export' in launched.output
    assert launched.state() == 'unconfigured'
    assert launched.end() == 0
