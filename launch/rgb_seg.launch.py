# SPDX-License-Identifier: Apache-2.0
"""Starts the segmentation node on a color camera, with a student of color images.

There is no such student in the package yet: name one with student:=FOLDER.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from kd_perception.nodes.launching import RGB_SEG_ARGUMENTS, declared, given, perception_node

ARGUMENTS = RGB_SEG_ARGUMENTS


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node action once the arguments have values."""
    return [perception_node(given(context, ARGUMENTS), 'thermal_seg_node')]


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the node; ros2 launch calls this."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes)])
