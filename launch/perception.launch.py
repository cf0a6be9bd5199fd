# SPDX-License-Identifier: Apache-2.0
"""Starts thermal_seg and mono_depth side by side, each in the namespace of its camera.

Arguments of one node are those of its own launch file, with thermal_ or depth_ before the name; a
few are for both.
"""

from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from kd_perception.nodes.launching import (
    MONO_DEPTH_ARGUMENTS,
    THERMAL_SEG_ARGUMENTS,
    Argument,
    declared,
)

LAUNCH = PathJoinSubstitution([FindPackageShare('kd_perception'), 'launch'])

# launch file, prefix of its arguments, these
PARTS = (
    ('thermal_seg.launch.py', 'thermal', THERMAL_SEG_ARGUMENTS),
    ('mono_depth.launch.py', 'depth', MONO_DEPTH_ARGUMENTS),
)
FOR_BOTH = ('autostart', 'use_sim_time', 'log_level', 'respawn')


def outer_name(prefix: str, name: str) -> str:
    """Names the argument of this file that becomes one of an included file."""
    return name if name in FOR_BOTH else f'{prefix}_{name}'


def included(file: str, prefix: str, arguments: tuple[Argument, ...]) -> GroupAction:
    """Includes a launch file with its arguments."""
    values = {name: LaunchConfiguration(outer_name(prefix, name)) for name, _, _ in arguments}
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([LAUNCH, file]))
    # A scope of its own: what one file sets, as its name, would be that of the other as well.
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=values.items())])


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and includes both launch files; ros2 launch calls this."""
    own = {
        outer_name(prefix, name): (default, meaning)
        for _, prefix, arguments in PARTS
        for name, default, meaning in arguments
    }
    return LaunchDescription(
        [
            *declared([(name, default, meaning) for name, (default, meaning) in own.items()]),
            *[included(*part) for part in PARTS],
        ]
    )
