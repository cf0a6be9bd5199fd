# SPDX-License-Identifier: Apache-2.0
"""Tables of a student on real frames, from a record made by hand."""

from __future__ import annotations

from training.real_tables import FIRST_CLASSES, real_images_section


def scores(person):
    iou = dict.fromkeys(FIRST_CLASSES) | {'person': person, 'car': 0.25}
    pixels = dict.fromkeys(FIRST_CLASSES, 0) | {'person': 7}
    return {'iou': iou, 'labeled_pixels': pixels, 'miou_nanmean': 0.375, 'ece': 0.02}


def found(frames):
    shares = dict.fromkeys(FIRST_CLASSES, 0.0) | {'person': 0.125}
    sure = {'mean_confidence': 0.9, 'mean_uncertainty': 0.1}
    return {'frames': frames, 'class_shares': shares, **sure, 'images': {}}


RECORD = {
    'student': {'name': 'tiny', 'sha256': '0123456789abcdef' * 4, 'trained_on': 'rendered frames'},
    'backend': 'openvino fp32 on cpu',
    'notes': {'tiles': 'what they are worth'},
    'sets': {
        'tiles': {**found(2), 'scores': scores(0.5), 'images': {'00': {'scores': scores(None)}}},
        'others': found(6),
    },
}


def test_scores_by_frame_and_pooled_persons_and_cars_first():
    lines = real_images_section(RECORD).splitlines()
    assert next(line for line in lines if line.startswith('| frame')).startswith(
        '| frame | person | car | unlabeled | bike |'
    )
    assert any(line.startswith('| 00 | - | 25.0 | - |') for line in lines)
    assert any(line.startswith('| all | 50.0 | 25.0 | - |') for line in lines)
    assert any(line.endswith('| 37.5 | 2.0 |') for line in lines)
    assert any(line.startswith('| labeled pixels | 7 | 0 |') for line in lines)


def test_every_set_has_its_shares_and_only_labeled_ones_scores():
    text = real_images_section(RECORD)
    assert '### tiles, labeled' in text and '### others, labeled' not in text
    lines = text.splitlines()
    assert any(line.startswith('| others | 6 | 12.5 | 0.0 |') for line in lines)
    assert any(line.endswith('| 0.900 | 0.100 |') for line in lines)


def test_the_page_says_what_ran_and_what_scores_are_worth():
    text = ' '.join(real_images_section(RECORD).split())
    assert '`0123456789abcdef`, trained on: rendered frames' in text
    assert 'What they are worth.' in text
    assert max(map(len, real_images_section(RECORD).splitlines())) < 150
