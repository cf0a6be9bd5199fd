# SPDX-License-Identifier: Apache-2.0
"""Starts the thermal segmentation node in a camera's namespace, and RViz if asked for."""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node

from kd_perception.nodes.launching import (
    CONFIG,
    base_topic,
    declared,
    given,
    node_arguments,
    perception_node,
)

ARGUMENTS = (
    *node_arguments('thermal', 'thermal_seg', 'thermal_seg.yaml'),
    ('rviz', 'false', 'true: show the outputs in RViz.'),
)
SHOWN_TOPICS = ('image_agc', 'mask', 'overlay', 'uncertainty')


def rviz_remappings(values: dict[str, str]) -> list[tuple[str, str]]:
    """Moves the layout's topics, which are those of /thermal/thermal_seg, to this node's."""
    base = base_topic(values)
    return [(f'/thermal/thermal_seg/{topic}', f'{base}/{topic}') for topic in SHOWN_TOPICS]


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node actions once the arguments have values."""
    values = given(context, ARGUMENTS)
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', PathJoinSubstitution([CONFIG, 'thermal_seg.rviz'])],
        remappings=rviz_remappings(values),
        condition=IfCondition(values['rviz']),
    )
    return [perception_node(values, 'thermal_seg_node'), rviz]


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the nodes; ros2 launch calls this."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes)])
