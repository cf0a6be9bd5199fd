# SPDX-License-Identifier: Apache-2.0
"""Starts the depth node in a camera's namespace, and its point cloud and RViz if asked for."""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from kd_perception.nodes.launching import (
    RVIZ_ARGUMENT,
    base_topic,
    declared,
    flag_from_text,
    given,
    node_arguments,
    perception_node,
    rviz,
    rviz_remappings,
)

ARGUMENTS = (
    *node_arguments('camera', 'mono_depth', 'mono_depth.yaml'),
    ('point_cloud', 'false', 'true: depth_image_proc makes <node>/points of the depth.'),
    RVIZ_ARGUMENT,
)
SHOWN_TOPICS = ('depth/colored', 'depth/uncertainty', 'depth/confidence', 'points')


def point_cloud_remappings(values: dict[str, str]) -> list[tuple[str, str]]:
    """Gives the point cloud node the depth with its camera_info, and names its output."""
    base = base_topic(values)
    return [
        ('image_rect', f'{base}/depth/image'),
        ('camera_info', f'{base}/depth/camera_info'),
        ('points', f'{base}/points'),
    ]


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node actions once the arguments have values."""
    values = given(context, ARGUMENTS)
    remappings = rviz_remappings(values, '/camera/mono_depth', SHOWN_TOPICS)
    layout = rviz(values, 'mono_depth.rviz', remappings)
    nodes = [perception_node(values, 'mono_depth_node'), layout]
    if flag_from_text('point_cloud', values['point_cloud']):
        nodes.append(
            Node(
                package='depth_image_proc',
                executable='point_cloud_xyz_node',
                namespace=values['namespace'],
                name=f'{values["name"]}_points',
                remappings=point_cloud_remappings(values),
                output='screen',
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the nodes; ros2 launch calls this."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes)])
