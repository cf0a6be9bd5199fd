# SPDX-License-Identifier: Apache-2.0
"""The launch file of both nodes side by side: each is configured by arguments of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed')
pytest.importorskip('rclpy')
from launched import Launched, loaded

pytestmark = [pytest.mark.launch, pytest.mark.ros]

FOR_BOTH = {'autostart', 'use_sim_time', 'log_level', 'respawn'}
PARTS = pytest.mark.parametrize(
    ('index', 'file', 'prefix'), [(0, 'thermal_seg', 'thermal'), (1, 'mono_depth', 'depth')]
)


def arguments_of(file: str) -> dict[str, Any]:
    description = loaded(file).generate_launch_description()
    return {argument.name: argument for argument in description.get_launch_arguments()}


def outer_name(prefix: str, name: str) -> str:
    return name if name in FOR_BOTH else f'{prefix}_{name}'


@PARTS
def test_every_argument_of_a_node_is_handed_to_it(index: int, file: str, prefix: str) -> None:
    from launch import LaunchContext
    from launch.actions import GroupAction, IncludeLaunchDescription

    entities = loaded('perception').generate_launch_description().entities
    groups = [entity for entity in entities if isinstance(entity, GroupAction)]
    inner = groups[index].get_sub_entities()
    (include,) = [entity for entity in inner if isinstance(entity, IncludeLaunchDescription)]
    names = {name: outer_name(prefix, name) for name in arguments_of(file)}
    context = LaunchContext()
    context.launch_configurations.update({name: f'value of {name}' for name in names.values()})
    handed = {name: value.perform(context) for name, value in include.launch_arguments}
    assert handed == {name: f'value of {outer}' for name, outer in names.items()}


@PARTS
def test_defaults_and_meanings_are_those_of_the_single_files(
    index: int, file: str, prefix: str
) -> None:
    outer = arguments_of('perception')
    for name, argument in arguments_of(file).items():
        twin = outer[outer_name(prefix, name)]
        assert twin.description == argument.description
        defaults = [
            [part.describe() for part in which.default_value] for which in (twin, argument)
        ]
        assert defaults[0] == defaults[1], name


@pytest.mark.slow
def test_both_nodes_run_side_by_side_as_they_are_told(
    launch: Callable[..., Launched],
    tmp_path: Path,
    tiny_student_folder: Path,
    tiny_depth_folder: Path,
) -> None:
    params = tmp_path / 'near.yaml'
    params.write_text('/**: {ros__parameters: {max_range_m: 20.0, lazy: false}}\n')
    launched = launch(
        'perception.launch.py',
        *(f'thermal_student:={tiny_student_folder}', f'depth_student:={tiny_depth_folder}'),
        *('thermal_name:=heat', 'thermal_backend:=onnxruntime', 'thermal_device:=cpu'),
        *(f'depth_params_file:={params}', 'depth_precision:=fp32', 'depth_namespace:=front'),
        node_name='/front/mono_depth',
    )
    launched.wait_for_state('active')
    launched.wait_until(lambda: launched.output.count('Active on') == 2, 'activation of both')
    assert 'Active on /thermal/image_raw' in launched.output
    assert 'Active on /front/image_raw' in launched.output
    asked = ('backend', 'device', 'precision', 'lazy')
    assert launched.parameters('/thermal/heat', *asked) == ('onnxruntime', 'cpu', 'auto', True)
    assert launched.parameters('/front/mono_depth', *asked, 'max_range_m') == (
        *('auto', 'auto', 'fp32', False),
        20.0,
    )
    assert launched.end() == 0
