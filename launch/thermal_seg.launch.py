# SPDX-License-Identifier: Apache-2.0
"""Starts the thermal segmentation node in a camera's namespace, and RViz if asked for."""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from kd_perception.nodes.launching import (
    THERMAL_SEG_ARGUMENTS,
    declared,
    given,
    perception_node,
    rviz,
)

ARGUMENTS = THERMAL_SEG_ARGUMENTS
SHOWN_TOPICS = ('image_agc', 'mask', 'overlay', 'uncertainty')


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node actions once the arguments have values."""
    values = given(context, ARGUMENTS)
    return [
        perception_node(values, 'thermal_seg_node'),
        rviz(values, 'thermal_seg.rviz', '/thermal/thermal_seg', SHOWN_TOPICS),
    ]


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the nodes; ros2 launch calls this."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes)])
