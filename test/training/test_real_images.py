# SPDX-License-Identifier: Apache-2.0
"""A student on real frames: scores and shares that can be worked out by hand."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import pytest
from real_folders import labeled_frames, real_folder

from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_schema import ClassInfo
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.uncertainty import confidence_from_logits
from training.data.real_frames import load_real_sets
from training.data.real_tiles import NO_TEST
from training.real_images import all_sets, examine, load_pipeline, main
from training.records import read_record


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = tmp_path / 'real'
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(folder))
    return real_folder(folder)


@pytest.fixture
def pipeline(tiny_student_folder):
    made = load_pipeline(tiny_student_folder)
    yield made
    made.backend.close()


def test_scores_of_labeled_frames_are_those_of_the_pixels(root, pipeline):
    record, _ = examine(pipeline, load_real_sets())
    tiles = record['sets']['rtfnet_tiles']
    # All of the left is unlabeled; the right is bump, and half of it is said to be person.
    for scores in (tiles['scores'], tiles['images']['02']['scores']):
        iou = scores['iou']
        assert list(iou)[:2] == ['person', 'car']
        assert (iou['unlabeled'], iou['bump'], iou['person']) == (1.0, 0.5, 0.0)
        assert iou['car'] is None
        assert scores['miou_nanmean'] == 0.5 and scores['miou'] == pytest.approx(1.5 / 9, abs=1e-4)
        assert scores['pixel_accuracy'] == pytest.approx(0.75)
    assert tiles['scores']['labeled_pixels']['person'] == 4 * 48 * 60
    assert tiles['images']['02']['scores']['labeled_pixels']['person'] == 48 * 60


def test_shares_and_confidence_of_frames_without_labels(root, pipeline):
    record, _ = examine(pipeline, load_real_sets())
    deep = record['sets']['thermal16']
    assert deep['frames'] == 2 and 'scores' not in deep
    assert list(deep['images']) == ['deep', 'deeper']
    assert 0.45 < deep['class_shares']['unlabeled'] < 0.5 < sum(deep['class_shares'].values())
    assert sum(deep['class_shares'].values()) == pytest.approx(1.0, abs=1e-3)
    # Logits of a gray level x of 0 or 8: k x - k^2 / 2, over a temperature of 1.5.
    k = np.arange(9.0)
    ends = np.stack([-0.5 * k**2, 8.0 * k - 0.5 * k**2], axis=1)
    expected = confidence_from_logits(ends, 1.5)
    assert deep['mean_confidence'] == pytest.approx(expected.confidence.mean(), abs=0.03)
    assert deep['mean_uncertainty'] == pytest.approx(expected.uncertainty.mean(), abs=0.03)


def test_each_frame_stands_alone(root, pipeline):
    sets = load_real_sets()
    both, _ = examine(pipeline, {'thermal16': sets['thermal16']})
    one, _ = examine(pipeline, {'thermal16': sets['thermal16'][1:]})
    name = 'deeper'
    assert both['sets']['thermal16']['images'][name] == one['sets']['thermal16']['images'][name]


def test_a_student_of_color_images_sees_the_color_halves(root, tiny_color_folder):
    pipeline = load_pipeline(tiny_color_folder)
    with closing(pipeline.backend):
        record, rows = examine(pipeline, load_real_sets())
        with pytest.raises(DatasetError, match='tiny_color must have color images; none of deep'):
            examine(pipeline, {'deep': load_real_sets()['thermal16']})
    assert {n: found['frames'] for n, found in record['sets'].items()} == {
        'rtfnet_tiles': 4,
        'msrs_pairs': 1,
    }
    # Its answer is green in eighths, 90 of 255 everywhere; the thermal half is black and white.
    shares = record['sets']['msrs_pairs']['images']['00001D']['class_shares']
    assert shares['bike'] == 1.0
    # The last panel of a frame without label is the color image itself.
    assert np.ptp(rows[-1].panels[-1].astype(int), axis=2).max() > 100


def test_record_says_what_ran_on_what(root, pipeline, tiny_student_folder):
    record, _ = examine(pipeline, load_real_sets())
    assert record['student']['sha256'] == load_student(tiny_student_folder).sha256
    assert NO_TEST in record['notes']['rtfnet_tiles']
    assert 'may choose checkpoints' in record['notes']['rtfnet_tiles']
    assert {'NumPy', 'OpenCV'} <= set(record['versions'])
    digests = {found['sha256'] for found in record['sets'].values()}
    assert len(digests) == 3 and all(len(digest) == 64 for digest in digests)
    assert 'fp32' in record['backend']


def test_command_writes_record_picture_and_page(root, tmp_path, tiny_student_folder, capsys):
    own = tmp_path / 'mine'
    labeled_frames(own, ('x',))
    sheet, record, page = (tmp_path / name for name in ('out/s.jpg', 'out/r.json', 'page.md'))
    main([
        str(tiny_student_folder), '--sheet', str(sheet), '--record', str(record),
        '--page', str(page), '--labeled', str(own),
    ])  # fmt: skip
    found = read_record(record)
    assert list(found['sets']) == ['rtfnet_tiles', 'msrs_pairs', 'thermal16', 'mine']
    assert found['sets']['mine']['scores']['iou']['bump'] == 0.5
    assert list(found['notes']) == ['rtfnet_tiles'], 'of other frames nothing is known'
    text = page.read_text()
    assert '<!-- begin real images tiny -->' in text and '### mine, labeled' in text
    assert '### mine, labeled' in capsys.readouterr().out
    picture = cv2.imread(str(sheet))
    # Two columns of four panels; the label is in the fourth of the first frame.
    assert picture.shape[1] == 2 * (4 * 300 + 6)
    assert np.ptp(picture[40:200, 920:1190].astype(int), axis=2).max() > 50
    assert (picture[18 * 3 + 3 * 230 :, 920:1190] > 240).mean() > 0.5, 'deep frames have three'


def test_without_real_frames_nothing_runs(tmp_path, monkeypatch, tiny_student_folder):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path / 'absent'))
    with pytest.raises(DatasetError, match='set KD_PERCEPTION_REAL_DATA'):
        main([str(tiny_student_folder), '--record', str(tmp_path / 'r.json')])
    assert not (tmp_path / 'r.json').exists()


def test_two_sets_of_one_name_are_refused(root, tmp_path):
    labeled_frames(tmp_path / 'msrs_pairs', ('x',))
    with pytest.raises(ConfigError, match='msrs_pairs twice'):
        all_sets([tmp_path / 'msrs_pairs'])


def test_students_of_other_classes_are_refused(tmp_path, tiny_student_folder):
    student = load_student(tiny_student_folder)
    classes = (*student.spec.classes[:8], ClassInfo(8, 'tram', (1, 2, 3)))
    spec = replace(student.spec, classes=classes)
    save_student(
        tmp_path / 'trams', spec, onnx=student.onnx, weights=student.weights, model_card=''
    )
    with pytest.raises(ConfigError, match='tram'):
        load_pipeline(tmp_path / 'trams')
