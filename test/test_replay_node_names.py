# SPDX-License-Identifier: Apache-2.0
"""Replay of a node by its name: its section of the parameter file, its topics."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from color_drives import TOPIC, write_color_drive

from kd_perception.bags import BagReader
from kd_perception.cli import main
from kd_perception.errors import ConfigError
from kd_perception.parameters.arguments import parameters_from_arguments, table_from_arguments
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.table import THERMAL_SEG

Params = Callable[..., Path]


@pytest.fixture
def params(tmp_path: Path) -> Params:
    """Writes a parameter file of sections by node name."""

    def write(**sections: str) -> Path:
        path = tmp_path / 'params.yaml'
        path.write_text(
            ''.join(
                f'{name}: {{ros__parameters: {{{text}}}}}\n' for name, text in sections.items()
            )
        )
        return path

    return write


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return write_color_drive(tmp_path / 'drive', [100.0])


def read(params: Path, student: object = '', node_name: str | None = None) -> dict[str, Any]:
    given = argparse.Namespace(
        params=params,
        student=str(student),
        node_name=node_name,
        threads=None,
        **dict.fromkeys(('backend', 'device', 'precision'), ''),
    )
    return parameters_from_arguments(given, table_from_arguments(given))


def outputs(command: str, *arguments: object, out: Path) -> set[str]:
    options = ('--out', out, '--threads', '1', '--quiet')
    assert main([str(part) for part in (command, *arguments, *options)]) == 0
    with BagReader(out) as bag:
        return {topic.rpartition('/')[0] for topic in bag.topics}


def test_a_color_student_is_replayed_as_rgb_seg(
    tmp_path: Path, drive: Path, params: Params, tiny_color_folder: Path
) -> None:
    own = f'model: {{path: {tiny_color_folder}}}, min_confidence: 0.25, warmup_iterations: 1'
    path = params(thermal_seg='min_confidence: 0.75', rgb_seg=own)
    assert read(path)['min_confidence'] == 0.25
    images = ('--image-topic', TOPIC)
    found = outputs('replay', drive, '--params', path, *images, out=tmp_path / 'out')
    assert found == {'/camera/rgb_seg'}


def test_any_node_is_replayed_by_its_name(
    tmp_path: Path, drive: Path, params: Params, tiny_color_folder: Path
) -> None:
    own = f'model: {{path: {tiny_color_folder}}}, min_confidence: 0.5, warmup_iterations: 1'
    path = params(rgb_seg='min_confidence: 0.25', **{'/front/seg': own})
    assert read(path, node_name='seg')['min_confidence'] == 0.5
    options = ('--params', path, '--image-topic', TOPIC, '--node-name', 'seg')
    assert outputs('replay', drive, *options, out=tmp_path / 'out') == {'/camera/seg'}


def test_the_name_follows_the_student(
    params: Params, tiny_student_folder: Path, tiny_color_folder: Path, tiny_depth_folder: Path
) -> None:
    path = params(
        thermal_seg='max_age_ms: 1.0', rgb_seg='max_age_ms: 2.0', mono_depth='max_age_ms: 3.0'
    )
    students = (tiny_student_folder, tiny_color_folder, tiny_depth_folder)
    assert [read(path, student)['max_age_ms'] for student in students] == [1.0, 2.0, 3.0]
    assert read(path)['max_age_ms'] == 1.0
    assert read(path, tiny_color_folder, 'thermal_seg')['max_age_ms'] == 1.0


def test_a_renamed_node_is_of_the_task_of_its_student(
    params: Params, tiny_depth_folder: Path
) -> None:
    own = f'model: {{path: {tiny_depth_folder}}}, max_range_m: 20.0'
    path = params(mono_depth='max_range_m: 30.0', front='max_rate_hz: 5.0', rear=own)
    assert read(path, node_name='rear') == MONO_DEPTH.defaults() | {
        'model.path': str(tiny_depth_folder),
        'max_range_m': 20.0,
    }
    assert read(path, node_name='front') == THERMAL_SEG.defaults() | {'max_rate_hz': 5.0}


def test_a_missing_section_is_told_with_the_option(
    params: Params, tiny_color_folder: Path
) -> None:
    path = params(thermal_seg='min_confidence: 0.5')
    with pytest.raises(ConfigError, match=r'section "rgb_seg:" .* it has /thermal_seg .*--node-n'):
        read(path, tiny_color_folder)
    with pytest.raises(ConfigError, match='section "seg:"'):
        read(path, node_name='seg')


def test_evaluation_takes_the_section_of_the_node(
    tmp_path: Path, drive: Path, params: Params, tiny_color_folder: Path
) -> None:
    path = params(seg=f'model: {{path: {tiny_color_folder}}}, warmup_iterations: 1')
    command = ['evaluate', drive, '--params', path, '--node-name', 'seg', '--image-topic', TOPIC]
    options = ['--out', tmp_path / 'out', '--threads', '1', '--quiet']
    assert main([str(part) for part in (*command, *options)]) == 0


@pytest.mark.parametrize('name', ['/front/seg', '7seg', 'a-b', ''])
def test_names_that_no_node_can_have_are_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(['replay', 'drive', '--out', 'out', '--node-name', name])
    assert end.value.code == 2
    assert f'{name!r} must be letters, digits and underscores' in capsys.readouterr().err
