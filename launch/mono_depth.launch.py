# SPDX-License-Identifier: Apache-2.0
"""Starts the depth node in a camera's namespace, and its point cloud and RViz if asked for."""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from kd_perception.nodes.launching import (
    MONO_DEPTH_ARGUMENTS,
    declared,
    flag_from_text,
    given,
    perception_node,
    rviz,
)

ARGUMENTS = MONO_DEPTH_ARGUMENTS
SHOWN_TOPICS = ('depth/colored', 'depth/uncertainty', 'depth/confidence', 'points')


def point_cloud(values: dict[str, str]) -> Node:
    """Makes the action of the point cloud node: beside the depth node, so that names follow it."""
    name = values['name']
    return Node(
        package='depth_image_proc',
        executable='point_cloud_xyz_node',
        namespace=values['namespace'],
        name=f'{name}_points',
        remappings=[
            ('image_rect', f'{name}/depth/image'),
            ('camera_info', f'{name}/depth/camera_info'),
            ('points', f'{name}/points'),
        ],
        output='screen',
    )


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node actions once the arguments have values."""
    values = given(context, ARGUMENTS)
    nodes = [
        perception_node(values, 'mono_depth_node'),
        rviz(values, 'mono_depth.rviz', '/camera/mono_depth', SHOWN_TOPICS),
    ]
    if flag_from_text('point_cloud', values['point_cloud']):
        nodes.append(point_cloud(values))
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the nodes; ros2 launch calls this."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes)])
