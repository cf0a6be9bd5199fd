# SPDX-License-Identifier: Apache-2.0
"""The evaluation command: the inputs that it takes, and the folder that it fills."""

from __future__ import annotations

import argparse
import json

import cv2
import pytest
import recorded_drives as drives

from kd_perception.errors import ConfigError
from kd_perception.evaluation.command import evaluate_to_folder, run, summary


def test_folder_of_results(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    out = tmp_path / 'made' / 'here'
    evaluation = evaluate_to_folder(bag, out, student, pipeline=pipeline)
    assert sorted(path.name for path in out.iterdir()) == [
        'metrics.json', 'overlay.mp4', 'report.html',
    ]  # fmt: skip
    document = json.loads((out / 'metrics.json').read_text())
    segmentation = document['scores']['segmentation']
    assert segmentation['miou'] == evaluation.scores.segmentation.miou
    assert document['student']['sha256'] == student.sha256
    assert len(document['frames']) == 6
    assert document['scores']['reliability'][0].keys() >= {'low', 'high', 'pixels'}
    assert 'mIoU' in summary(evaluation)


def arguments(**changes):
    texts = ('image_topic', 'label_topic', 'student', 'device', 'precision')
    others = ('bag', 'images', 'out', 'predictions', 'labels', 'params', 'node_name')
    values = dict.fromkeys(texts, '') | dict.fromkeys(others)
    values |= {'backend': 'onnxruntime', 'threads': 1, 'quiet': True, 'depth_scale': 0.001}
    return argparse.Namespace(**{**values, **changes})


def test_command_on_a_recording(tmp_path, tiny_student_folder, capsys):
    bag = drives.write_drive(tmp_path / 'drive', 2)
    out = tmp_path / 'out'
    assert run(arguments(bag=bag, out=out, student=str(tiny_student_folder))) == 0
    assert 'report.html' in capsys.readouterr().out
    assert (out / 'report.html').exists()


def test_command_on_images(tmp_path, tiny_student_folder, capsys):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(f'{tmp_path}/in/a.png', drives.level_scene(0)[0])
    out = tmp_path / 'out'
    images = tmp_path / 'in'
    assert run(arguments(images=images, out=out, student=str(tiny_student_folder))) == 0
    assert '1 images used' in capsys.readouterr().out
    assert (out / 'contact_sheet.jpg').exists()


def test_command_wants_one_input(tmp_path):
    with pytest.raises(ConfigError, match='either a recording or --images'):
        run(arguments(out=tmp_path))
