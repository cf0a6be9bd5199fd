# SPDX-License-Identifier: Apache-2.0
"""What the launch files share: arguments become a perception node and, if asked for, RViz.

An argument that is left empty leaves that setting to the parameter file. Autostart is the node's
own `autostart` parameter, not events of the launch: it then acts the same from Humble on, under
`ros2 run`, and after a respawn; and nothing activates the node twice. With autostart:=false the
node waits for a lifecycle manager.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare('kd_perception'), 'config'])

Argument = tuple[str, Any, str]
"""Name, default and meaning."""

TEXT_PARAMETERS = {
    'image_transport': 'image_transport',
    'student': 'model.path',
    'backend': 'backend',
    'device': 'device',
    'precision': 'precision',
}
FLAG_PARAMETERS = ('autostart', 'use_sim_time')


def node_arguments(namespace: str, name: str, params_file: str) -> tuple[Argument, ...]:
    """Return the launch arguments of a perception node.

    Args:
        namespace: Default namespace.
        name: Default name of the node.
        params_file: Default parameter file, in the folder config.
    """
    return (
        ('namespace', namespace, "Namespace of the node, below any that is pushed; the camera's."),
        ('name', name, 'Name of the node; outputs lie below <namespace>/<name>.'),
        ('image_topic', '', 'Image topic; empty: image_raw in the namespace.'),
        ('camera_info_topic', '', 'CameraInfo topic; empty: camera_info beside the image topic.'),
        ('image_transport', '', 'raw or compressed.'),
        ('params_file', PathJoinSubstitution([CONFIG, params_file]), 'ROS parameter file.'),
        ('student', '', 'Shipped student or bundle folder; sets model.path.'),
        ('backend', '', 'auto, openvino, onnxruntime, torch or tensorrt.'),
        ('device', '', 'auto, cpu or cuda:N.'),
        ('precision', '', 'auto, fp32, bf16, fp16 or int8.'),
        (
            'autostart',
            '',
            'true: the node activates itself; false: a lifecycle manager drives it.',
        ),
        ('use_sim_time', '', 'true: time comes from /clock.'),
        ('log_level', 'info', 'debug, info, warn, error or fatal.'),
        ('respawn', 'false', 'true: start the node again two seconds after it ends.'),
    )


_RVIZ: Argument = ('rviz', 'false', 'true: show the outputs in RViz, which must be installed.')

THERMAL_SEG_ARGUMENTS = (*node_arguments('thermal', 'thermal_seg', 'thermal_seg.yaml'), _RVIZ)
MONO_DEPTH_ARGUMENTS = (
    *node_arguments('camera', 'mono_depth', 'mono_depth.yaml'),
    ('point_cloud', 'false', 'true: depth_image_proc makes <node>/points of the depth.'),
    _RVIZ,
)
RGB_SEG_ARGUMENTS = node_arguments('camera', 'rgb_seg', 'rgb_seg.yaml')


def declared(arguments: Sequence[Argument]) -> list[Any]:
    """Return the actions that declare launch arguments."""
    return [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, default, meaning in arguments
    ]


def given(context: Any, arguments: Sequence[Argument]) -> dict[str, str]:
    """Return the values of launch arguments once they have some."""
    return {name: LaunchConfiguration(name).perform(context) for name, _, _ in arguments}


def flag_from_text(name: str, text: str) -> bool:
    """Read true or false (any case, or 1 and 0).

    Raises:
        ValueError: Anything else, which is an error, and never false.
    """
    values = {'true': True, '1': True, 'false': False, '0': False}
    if text.lower() not in values:
        raise ValueError(f'{name} must be true or false, received {text!r}')
    return values[text.lower()]


def parameters_from_arguments(values: Mapping[str, str]) -> dict[str, object]:
    """Return the node parameters that launch arguments set on top of the parameter file."""
    # Without the type a student called 7 or a device called no would turn into a number or a flag.
    texts = {
        parameter: ParameterValue(values[name], value_type=str)
        for name, parameter in TEXT_PARAMETERS.items()
        if values[name]
    }
    flags = {name: flag_from_text(name, values[name]) for name in FLAG_PARAMETERS if values[name]}
    return {**texts, **flags}


def remappings_from_arguments(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return topics that differ from the node's own; the compressed one follows the raw one."""
    topics = {'image_raw': values['image_topic'], 'camera_info': values['camera_info_topic']}
    return [(topic, name) for topic, name in topics.items() if name]


def perception_node(values: Mapping[str, str], executable: str) -> Any:
    """Return the action that starts the node."""
    return LifecycleNode(
        package='kd_perception',
        executable=executable,
        namespace=values['namespace'],
        name=values['name'],
        parameters=[values['params_file'], parameters_from_arguments(values)],
        remappings=remappings_from_arguments(values),
        ros_arguments=['--log-level', values['log_level']],
        respawn=flag_from_text('respawn', values['respawn']),
        respawn_delay=2.0,
        output='screen',
        emulate_tty=True,
    )


def rviz_remappings(
    values: Mapping[str, str], drawn_for: str, topics: Sequence[str]
) -> list[tuple[str, str]]:
    """Move the topics of a layout to those of this node.

    Args:
        values: Launch arguments.
        drawn_for: Full name of the node that the layout is of.
        topics: Outputs that it shows.

    Returns:
        Rules for a node in the same namespace: what they lead to is relative to it, so that a
        launch file that pushes another namespace around this one moves them as well.
    """
    return [(f'{drawn_for}/{topic}', f'{values["name"]}/{topic}') for topic in topics]


def rviz(values: Mapping[str, str], layout: str, drawn_for: str, topics: Sequence[str]) -> Any:
    """Return the action that starts RViz if asked for, beside the node.

    Args:
        values: Launch arguments.
        layout: File in the folder config.
        drawn_for: Full name of the node that the layout is of.
        topics: Outputs that it shows.
    """
    return Node(
        package='rviz2',
        executable='rviz2',
        namespace=values['namespace'],
        arguments=['-d', PathJoinSubstitution([CONFIG, layout])],
        remappings=rviz_remappings(values, drawn_for, topics),
        condition=IfCondition(values['rviz']),
    )
