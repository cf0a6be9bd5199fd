# SPDX-License-Identifier: Apache-2.0
"""The command as it is documented: a drive of the world, a depth student, a folder of results."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from color_drives import write_color_drive

from kd_perception.cli import main


@pytest.fixture(scope='module')
def world_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('world') / 'drive'
    command = ['world', 'bag', str(folder), '--count', '2', '--size', '64x96', '--quiet']
    assert main([*command, '--workers', '1']) == 0
    return folder


def evaluate(*arguments: object) -> int:
    fixed = ['--backend', 'onnxruntime', '--threads', '1', '--quiet']
    return main(['evaluate', *(str(part) for part in arguments), *fixed])


def test_depth_of_a_world_drive(
    tmp_path: Path,
    world_drive: Path,
    tiny_depth_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, topic = tmp_path / 'out', '/camera/color/image_raw'
    code = evaluate(
        world_drive, '--student', tiny_depth_folder, '--image-topic', topic, '--out', out
    )
    assert code == 0
    printed = capsys.readouterr().out
    assert 'abs_rel' in printed and f'report: {out}/report.html' in printed
    document = json.loads((out / 'metrics.json').read_text())
    assert document['source']['labels'] == '/camera/depth'
    assert document['counts']['scored'] == 2
    assert all(frame['scale'] > 0 for frame in document['frames'])
    assert {path.name for path in out.iterdir()} == {'depth.mp4', 'metrics.json', 'report.html'}


def test_recorded_outputs_and_a_folder_of_kitti_counts(
    tmp_path: Path, tiny_depth_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0] * 2)
    command = ['replay', drive, '--out', tmp_path / 'outputs', '--student', tiny_depth_folder]
    assert main([*map(str, command), '--threads', '1', '--quiet']) == 0
    (tmp_path / 'depths').mkdir()
    for index in range(2):
        cv2.imwrite(f'{tmp_path}/depths/{index}.png', np.full((96, 128), 2560, np.uint16))
    code = evaluate(
        drive,
        *('--student', tiny_depth_folder, '--predictions', tmp_path / 'outputs'),
        *('--labels', tmp_path / 'depths', '--depth-scale', 1 / 256, '--out', tmp_path / 'out'),
    )
    assert code == 0, capsys.readouterr().err
    document = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert document['mode'] == 'recorded'
    assert document['source']['labels'] == 'folder depths'
    assert document['scores']['pixels'] == 2 * 96 * 128  # all at 10 m


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--images', 'somewhere'], 'received --images'),
        (['drive', '--label-topic', '/nowhere'], '/nowhere'),
        (['drive', '--labels', 'nowhere'], 'must exist'),
        (['drive', '--depth-scale', '0'], 'scale of depth files must be above 0'),
        (['absent'], 'absent'),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    tmp_path: Path,
    tiny_depth_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_color_drive(tmp_path / 'drive', [100.0])
    assert evaluate(*options, '--student', tiny_depth_folder, '--out', 'out') in (1, 2)
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
