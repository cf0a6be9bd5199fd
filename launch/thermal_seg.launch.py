# SPDX-License-Identifier: Apache-2.0
"""Starts the thermal segmentation node in a camera's namespace, and RViz if asked for.

An argument that is left empty leaves that setting to the parameter file. Autostart is the node's
own `autostart` parameter, not events of this launch: it then acts the same from Humble on, under
`ros2 run`, and after a respawn; and nothing activates the node twice. With autostart:=false the
node waits for a lifecycle manager.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare('kd_perception'), 'config'])

# name, default, meaning
ARGUMENTS = (
    ('namespace', 'thermal', "Namespace of the node: usually the camera's."),
    ('name', 'thermal_seg', 'Name of the node; outputs lie below <namespace>/<name>.'),
    ('image_topic', '', 'Image topic; empty: image_raw in the namespace.'),
    ('camera_info_topic', '', 'CameraInfo topic; empty: camera_info beside the image topic.'),
    ('image_transport', '', 'raw or compressed.'),
    ('params_file', PathJoinSubstitution([CONFIG, 'thermal_seg.yaml']), 'ROS parameter file.'),
    ('student', '', 'Shipped student or bundle folder; sets model.path.'),
    ('backend', '', 'auto, openvino, onnxruntime, torch or tensorrt.'),
    ('device', '', 'auto, cpu or cuda:N.'),
    ('precision', '', 'auto, fp32, bf16, fp16 or int8.'),
    ('autostart', '', 'true: the node activates itself; false: a lifecycle manager drives it.'),
    ('use_sim_time', '', 'true: time comes from /clock.'),
    ('log_level', 'info', 'debug, info, warn, error or fatal.'),
    ('respawn', 'false', 'true: start the node again two seconds after it ends.'),
    ('rviz', 'false', 'true: show the outputs in RViz.'),
)

TEXT_PARAMETERS = {
    'image_transport': 'image_transport',
    'student': 'model.path',
    'backend': 'backend',
    'device': 'device',
    'precision': 'precision',
}
FLAG_PARAMETERS = ('autostart', 'use_sim_time')
SHOWN_TOPICS = ('image_agc', 'mask', 'overlay', 'uncertainty')


def flag_from_text(name: str, text: str) -> bool:
    """Reads true or false (any case, or 1 and 0); anything else is an error, never false."""
    values = {'true': True, '1': True, 'false': False, '0': False}
    if text.lower() not in values:
        raise ValueError(f'{name} must be true or false, received {text!r}')
    return values[text.lower()]


def parameters_from_arguments(values: dict[str, str]) -> dict[str, object]:
    """Node parameters that the launch arguments set on top of the parameter file."""
    # Without the type a student called 7 or a device called no would turn into a number or a flag.
    texts = {
        parameter: ParameterValue(values[name], value_type=str)
        for name, parameter in TEXT_PARAMETERS.items()
        if values[name]
    }
    flags = {name: flag_from_text(name, values[name]) for name in FLAG_PARAMETERS if values[name]}
    return {**texts, **flags}


def remappings_from_arguments(values: dict[str, str]) -> list[tuple[str, str]]:
    """Topic names that differ from the node's own; the compressed image follows the raw one."""
    topics = {'image_raw': values['image_topic'], 'camera_info': values['camera_info_topic']}
    return [(topic, name) for topic, name in topics.items() if name]


def rviz_remappings(namespace: str, name: str) -> list[tuple[str, str]]:
    """Moves the layout's topics, which are those of /thermal/thermal_seg, to this node's."""
    base = f'/{namespace.strip("/")}/{name}'.replace('//', '/')
    return [(f'/thermal/thermal_seg/{topic}', f'{base}/{topic}') for topic in SHOWN_TOPICS]


def start_nodes(context: LaunchContext) -> list[Node]:
    """Makes the node actions once the arguments have values."""
    values = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    node = LifecycleNode(
        package='kd_perception',
        executable='thermal_seg_node',
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
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', PathJoinSubstitution([CONFIG, 'thermal_seg.rviz'])],
        remappings=rviz_remappings(values['namespace'], values['name']),
        condition=IfCondition(values['rviz']),
    )
    return [node, rviz]


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the nodes; ros2 launch calls this."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=meaning)
                for name, default, meaning in ARGUMENTS
            ),
            OpaqueFunction(function=start_nodes),
        ]
    )
