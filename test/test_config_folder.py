# SPDX-License-Identifier: Apache-2.0
"""Files of `config/`: parameters as the nodes declare them, layouts of what nodes publish."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kd_perception.bundle import load_student
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.file import load_parameter_file
from kd_perception.parameters.parameter_table import ParameterTable
from kd_perception.parameters.table import THERMAL_SEG
from kd_perception.resources import student_folder
from kd_perception.tasks import RGB_SEG_NODE, usual_node_name

REPOSITORY = Path(__file__).resolve().parents[1]
NODE = '/thermal/thermal_seg'


def flat_parameters(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flat_parameters(value, f'{prefix}{name}.')
        else:
            flat[prefix + name] = value
    return flat


@pytest.mark.parametrize('table', [THERMAL_SEG, MONO_DEPTH], ids=lambda table: table.node_name)
def test_parameter_file_holds_every_parameter_with_its_default_and_type(
    table: ParameterTable[Any],
) -> None:
    text = (REPOSITORY / f'config/{table.node_name}.yaml').read_text(encoding='utf-8')
    written = flat_parameters(yaml.safe_load(text)['/**']['ros__parameters'])
    expected = table.defaults()
    assert written == expected
    # 1 == 1.0 in Python, but not for ROS: a double must be written as one.
    types = {name: type(value) for name, value in expected.items()}
    assert {name: type(value) for name, value in written.items()} == types


def test_parameter_file_of_color_segmentation_fits_the_node() -> None:
    values = load_parameter_file(REPOSITORY / 'config/rgb_seg.yaml')
    assert values['ffc.source'] == 'none' and values['model.path'] == 'rgb_seg_s'
    student = load_student(student_folder(values['model.path']))
    assert usual_node_name(student) == RGB_SEG_NODE


@pytest.mark.parametrize('table', [THERMAL_SEG, MONO_DEPTH], ids=lambda table: table.node_name)
def test_parameter_file_marks_what_may_change_live(table: ParameterTable[Any]) -> None:
    path = REPOSITORY / f'config/{table.node_name}.yaml'
    lines = path.read_text(encoding='utf-8').splitlines()
    marks = {'active': '(live)', 'reload': '(reload)', 'configure': '', 'start': ''}
    for spec in table.rows:
        group, _, leaf = spec.name.rpartition('.')
        start = next((i for i, line in enumerate(lines) if line.strip() == f'{group}:'), 0)
        text = next(line for line in lines[start:] if line.strip().startswith(f'{leaf}: '))
        found = re.search(r'\((live|reload)\)$', text)
        assert (found.group() if found else '') == marks[spec.applied], spec.name


def test_the_layout_of_depth_shows_topics_that_there_are() -> None:
    outputs = pytest.importorskip(
        'kd_perception.nodes.depth_outputs', reason='rclpy is not installed'
    )
    rviz = yaml.safe_load((REPOSITORY / 'config/mono_depth.rviz').read_text(encoding='utf-8'))
    displays = rviz['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'].removeprefix('/camera/mono_depth/') for display in displays}
    assert shown == {'depth/colored', 'depth/uncertainty', 'depth/confidence', 'points'}
    assert shown - {'points'} <= set(outputs._NEEDS)  # those are of depth_image_proc
    docked = set(rviz['Window Geometry'])
    assert {d['Name'] for d in displays if d['Class'].endswith('/Image')} <= docked


def test_layouts_show_topics_that_the_node_publishes() -> None:
    outputs = pytest.importorskip('kd_perception.nodes.outputs', reason='rclpy is not installed')
    published = {f'{NODE}/{name}' for name in outputs._NEEDS}
    wanted = {f'{NODE}/{name}' for name in ('image_agc', 'mask', 'overlay', 'uncertainty')}
    rviz = yaml.safe_load((REPOSITORY / 'config/thermal_seg.rviz').read_text(encoding='utf-8'))
    displays = rviz['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'] for display in displays}
    assert shown == wanted
    assert shown <= published
    text = (REPOSITORY / 'config/thermal_seg_foxglove.json').read_text(encoding='utf-8')
    panels = json.loads(text)['configById'].values()
    images = {panel['imageMode']['imageTopic'] for panel in panels if 'imageMode' in panel}
    assert images == wanted
    assert any(panel.get('topicToRender') == '/diagnostics' for panel in panels)
