# SPDX-License-Identifier: Apache-2.0
"""Starts thermal_seg and mono_depth side by side, each in the namespace of its camera.

Arguments of one node only start with thermal_ or depth_; the others are for both.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

LAUNCH = PathJoinSubstitution([FindPackageShare('kd_perception'), 'launch'])

# launch file, prefix of its own arguments, their defaults
PARTS = (
    ('thermal_seg.launch.py', 'thermal', {'namespace': 'thermal', 'image_topic': ''}),
    (
        'mono_depth.launch.py',
        'depth',
        {'namespace': 'camera', 'image_topic': '', 'point_cloud': 'false'},
    ),
)
OWN = {'student': '', 'camera_info_topic': '', 'image_transport': ''}
SHARED = {'autostart': '', 'use_sim_time': '', 'log_level': 'info', 'respawn': 'false'}


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and includes both launch files; ros2 launch calls this."""
    actions = [DeclareLaunchArgument(name, default_value=value) for name, value in SHARED.items()]
    for file, prefix, defaults in PARTS:
        own = {**defaults, **OWN}
        actions += [
            DeclareLaunchArgument(f'{prefix}_{name}', default_value=value)
            for name, value in own.items()
        ]
        values = {name: LaunchConfiguration(f'{prefix}_{name}') for name in own}
        values |= {name: LaunchConfiguration(name) for name in SHARED}
        include = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(PathJoinSubstitution([LAUNCH, file])),
            launch_arguments=values.items(),
        )
        # A scope of its own: what one file sets, as its name, would be that of the other as well.
        actions.append(GroupAction([include]))
    return LaunchDescription(actions)
