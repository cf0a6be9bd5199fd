# SPDX-License-Identifier: Apache-2.0
"""Our launch files inside another one's namespace: what they start beside the node follows it.

Programs that stand in for `depth_image_proc` and `rviz2` subscribe as those do: to names of their
own, and to the topics of the layout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed')
pytest.importorskip('rclpy')
from launched import LAUNCH_FOLDER, Launched

pytestmark = [pytest.mark.launch, pytest.mark.ros, pytest.mark.slow]

OUTER = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace


def generate_launch_description():
    inner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource({file!r}), launch_arguments={arguments!r}
    )
    return LaunchDescription([GroupAction([PushRosNamespace('robot1'), inner])])
"""
STAND_IN = f"""#!{sys.executable}
import sys

import rclpy
import yaml
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

rclpy.init()
node = rclpy.create_node('stand_in')
if '-d' in sys.argv:
    layout = yaml.safe_load(open(sys.argv[sys.argv.index('-d') + 1]))
    topics = [(PointCloud2 if display['Class'].endswith('PointCloud2') else Image,
               display['Topic']['Value'])
              for display in layout['Visualization Manager']['Displays']]
else:
    topics = [(Image, 'image_rect'), (CameraInfo, 'camera_info')]
    node.create_publisher(PointCloud2, 'points', 10)
for kind, topic in topics:
    node.create_subscription(kind, topic, print, 10)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
"""


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install packages whose programs only subscribe."""
    prefix = tmp_path / 'install'
    for package, program in (
        ('depth_image_proc', 'point_cloud_xyz_node'),
        ('rviz2', 'rviz2'),
    ):
        marker = prefix / 'share/ament_index/resource_index/packages' / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        path = prefix / 'lib' / package / program
        path.parent.mkdir(parents=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{prefix}:{os.environ["AMENT_PREFIX_PATH"]}')


@pytest.mark.parametrize(
    ('file', 'arguments', 'node', 'subscribed'),
    [
        (
            'mono_depth',
            {'point_cloud': 'true', 'rviz': 'true'},
            '/robot1/camera/mono_depth',
            (
                *('depth/image', 'depth/camera_info'),
                *('depth/colored', 'depth/uncertainty', 'depth/confidence', 'points'),
            ),
        ),
        (
            'thermal_seg',
            {'rviz': 'true', 'namespace': 'front/heat', 'name': 'seg'},
            '/robot1/front/heat/seg',
            ('image_agc', 'mask', 'overlay', 'uncertainty'),
        ),
    ],
)
def test_what_is_started_beside_the_node_finds_its_topics(
    launch: Callable[..., Launched],
    stand_ins: None,
    tmp_path: Path,
    file: str,
    arguments: dict[str, str],
    node: str,
    subscribed: tuple[str, ...],
) -> None:
    outer = tmp_path / 'outer.launch.py'
    given = list({'autostart': 'false', **arguments}.items())
    outer.write_text(OUTER.format(file=str(LAUNCH_FOLDER / f'{file}.launch.py'), arguments=given))
    launched = launch(str(outer), node_name=node)
    assert launched.state() == 'unconfigured'
    for topic in subscribed:
        launched.wait_until(
            lambda topic=topic: launched.node.count_subscribers(f'{node}/{topic}'),
            f'subscription to {node}/{topic}',
        )
    if 'points' in subscribed:
        assert launched.node.count_publishers(f'{node}/points') == 1
    topics = {name for name, _ in launched.node.get_topic_names_and_types()}
    assert not [name for name in topics if name.startswith(('/camera', '/thermal', '/front'))]
    assert launched.end() == 0
