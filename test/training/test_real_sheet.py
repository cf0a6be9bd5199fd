# SPDX-License-Identifier: Apache-2.0
"""Rows of the picture of real frames: what is shown, and what is written above."""

from __future__ import annotations

import numpy as np
import pytest
from real_folders import color, half_right, half_white

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.frames import Frame
from kd_perception.pipeline import Pipeline
from training.data.real_frames import RealFrame
from training.real_sheet import sheet_row

SEEN = {
    'class_shares': {'unlabeled': 0.7, 'person': 0.002, 'car': 0.29, 'bike': 0.0009},
    'mean_confidence': 0.876,
}


@pytest.fixture(scope='module')
def pipeline(tiny_student_folder):
    student = load_student(tiny_student_folder)
    backend = create_backend(student, backend='onnxruntime', threads=1)
    yield Pipeline(student, backend)
    backend.close()


def row(pipeline, report, label=None, rgb=None):
    frame = Frame(half_white(), 'mono8', 0)
    real = RealFrame('x', frame, label, rgb)
    pipeline.reset()  # the same frame again and again would be taken for a frozen camera
    return sheet_row('set/x', real, pipeline.step(frame), report, pipeline.student.palette)


def test_a_frame_without_label_or_color_has_three_panels(pipeline):
    found = row(pipeline, SEEN)
    assert found.caption == 'set/x  car 29.0%, person 0.2%; confidence 0.88'
    gray, mask, uncertainty = found.panels
    assert gray.shape == mask.shape == uncertainty.shape == (224, 300, 3)
    assert gray[:, :140].max() < 10 and gray[:, 160:].min() > 245
    assert np.ptp(mask[100, 250].astype(int)) > 20, 'a class in color'


def test_nothing_found_is_said_so(pipeline):
    shares = {'unlabeled': 1.0, 'person': 0.0}
    found = row(pipeline, {'class_shares': shares, 'mean_confidence': 0.5})
    assert found.caption == 'set/x  nothing found; confidence 0.50'


def test_color_is_shown_where_there_is_no_label(pipeline):
    panels = row(pipeline, SEEN, rgb=color()).panels
    assert len(panels) == 4
    assert panels[3].shape == panels[0].shape
    assert panels[3][10, 10].tolist() == color()[4, 4].tolist()


def test_the_label_goes_before_color_and_scores_are_written(pipeline):
    report = SEEN | {'scores': {'iou': {'person': 0.0, 'car': None, 'bump': 0.5}}}
    found = row(pipeline, report, half_right(), color())
    assert len(found.panels) == 4
    assert found.caption == 'set/x  IoU of person 0, bump 50; label on the right'
    upper, lower = found.panels[3][60, 250], found.panels[3][170, 250]
    assert (upper != lower).any(), 'bump above, person below'
    assert (found.panels[1][60, 250] == upper).all(), 'the mask says bump, too'
