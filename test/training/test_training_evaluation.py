# SPDX-License-Identifier: Apache-2.0
"""Scores and calibration: figures that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_perception.label_sets import CITYSCAPES, PST900
from kd_perception.uncertainty import fit_temperature
from kd_perception.world.classes import CLASS_NAMES
from training.data.real_tiles import RealTile
from training.data.world_fields import WorldSample
from training.evaluation import (
    FREQUENT,
    RARE,
    REAL_TILES_NOTE,
    calibration_metrics,
    evaluate_student,
    infer,
    score,
)


class BrightIsPerson(torch.nn.Module):
    """Logits that say person where the input is bright, unlabeled elsewhere."""

    def forward(self, image):
        mean = torch.nn.functional.avg_pool2d(image, 4)
        logits = torch.full((1, 9, *mean.shape[2:]), -50.0)
        logits[:, 0], logits[:, 2] = 20.0 * (0.5 - mean[:, 0]), 20.0 * (mean[:, 0] - 0.5)
        return logits


def half_bright(size=(240, 320)):
    label = np.zeros(size, np.uint8)
    label[:, size[1] // 2 :] = 2
    return frame_of(np.where(label > 0, 9000, 8000).astype(np.uint16), label)


def frame_of(thermal, label):
    rgb = np.where(label[..., None] > 0, 200, 50).astype(np.uint8).repeat(3, axis=2)
    return WorldSample(thermal=thermal, rgb=rgb, label=label)


def test_right_network_scores_one_hundred_percent():
    scores = score(BrightIsPerson(), [half_bright(), half_bright((480, 640))], 'thermal')
    assert scores.metrics['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert scores.metrics['miou_nanmean'] == pytest.approx(1.0, abs=0.01)
    assert scores.metrics['iou']['car'] is None
    right = scores.logits.argmax(axis=1) == scores.labels
    assert len(right) > 1000
    assert right.mean() > 0.99


def test_unknown_pixels_do_not_count():
    frame = half_bright()
    frame.label[:, :200] = 255
    frame.thermal[:, :100] = 9000
    scores = score(BrightIsPerson(), [frame], 'thermal')
    assert scores.metrics['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert (scores.labels == 255).mean() == pytest.approx(200 / 320, abs=0.02)


def test_tall_frames_are_scored_where_they_lie_in_the_network_input():
    label = np.zeros((320, 160), np.uint8)
    label[160:] = 2
    image = np.where(label > 0, 9000, 8000).astype(np.uint16)
    frame = frame_of(image, label)
    logits, box = infer(BrightIsPerson(), frame, 'thermal')
    assert logits.shape == (1, 9, 120, 160)
    assert box.content_size == (480, 240)
    assert score(BrightIsPerson(), [frame], 'thermal').metrics['iou']['person'] > 0.98


def test_color_is_scored_by_a_network_that_sees_color():
    frames = [WorldSample(rgb=half_bright().rgb, label=half_bright().label)]
    metrics = score(BrightIsPerson(), frames, 'rgb').metrics
    assert metrics['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert metrics['boundary_f_3px_by_class']['person'] == pytest.approx(1.0, abs=0.01)


def test_outlines_that_lie_apart_do_not_match():
    frame = half_bright()
    shifted = frame_of(np.roll(frame.thermal, 8, axis=1), frame.label)
    shifted.thermal[:, :8] = 8000
    metrics = score(BrightIsPerson(), [shifted], 'thermal').metrics
    assert metrics['iou']['person'] > 0.9
    assert metrics['boundary_f_3px_by_class']['person'] < 0.1
    assert metrics['boundary_f_3px'] < 0.1
    # Seven classes are in neither mask and score 1 where papers average over all images.
    assert metrics['boundary_f_3px_all_images'] == pytest.approx(7 / 9, abs=0.03)


def test_frequent_and_rare_classes_are_averaged_apart():
    label = np.zeros((240, 320), np.uint8)
    label[:, 160:], label[100:, :60] = 2, 8  # a person, found, and a bump, not found
    frame = frame_of(np.where(label == 2, 9000, 8000).astype(np.uint16), label)
    metrics = score(BrightIsPerson(), [frame], 'thermal').metrics
    assert metrics['miou_frequent'] == pytest.approx(1.0, abs=0.01)
    assert metrics['miou_rare'] == 0.0
    assert {*FREQUENT, *RARE, 'unlabeled'} == set(CLASS_NAMES)
    empty = score(BrightIsPerson(), [half_bright()], 'thermal').metrics
    assert empty['miou_rare'] is None


def test_frequent_classes_are_averaged_with_what_is_wrong():
    """A person found with as much again beside it, a car taken for nothing: 0.5, and 0."""
    label = np.zeros((240, 320), np.uint8)
    label[:, 240:], label[:120, :80] = 2, 1
    bright = np.zeros(label.shape, bool)
    bright[:, 160:] = True
    frame = frame_of(np.where(bright, 9000, 8000).astype(np.uint16), label)
    metrics = score(BrightIsPerson(), [frame], 'thermal').metrics
    assert metrics['iou']['person'] == pytest.approx(0.5, abs=0.01)
    assert metrics['iou']['car'] == 0.0
    assert metrics['miou_frequent'] == pytest.approx(0.25, abs=0.01)
    # Of the whole: 3/8 is nothing and taken for it, 1/8 a car taken for it, 1/4 for a person.
    assert metrics['iou']['unlabeled'] == pytest.approx(3 / (3 + 1 + 2), abs=0.01)
    assert metrics['miou_rare'] is None


def test_frequent_and_rare_classes_are_those_of_mfnet_alone():
    """Cityscapes has cars and persons, too."""
    person = CITYSCAPES.names.index('person')

    class EverythingIsPerson(torch.nn.Module):
        def forward(self, image):
            logits = torch.zeros(1, 19, *image.shape[2:])
            logits[:, person] = 1.0
            return logits

    label = np.full((240, 320), person, np.uint8)
    frame = frame_of(np.full(label.shape, 8000, np.uint16), label)
    metrics = score(EverythingIsPerson(), [frame], 'thermal', label_set=CITYSCAPES).metrics
    assert metrics['iou']['person'] == 1.0
    assert metrics['miou_frequent'] is None and metrics['miou_rare'] is None


def test_scores_follow_the_label_set():
    """Three quarters of the survivor are found, and nothing else is taken for one."""

    class BrightIsSurvivor(torch.nn.Module):
        def forward(self, image):
            logits = torch.full((1, 5, *image.shape[2:]), -50.0)
            logits[:, 0], logits[:, 4] = 0.5 - image[:, 0], image[:, 0] - 0.5
            return logits

    label = np.zeros((240, 320), np.uint8)
    label[:, 160:] = 4
    bright = np.zeros(label.shape, bool)
    bright[:, 200:] = True
    frame = frame_of(np.where(bright, 9000, 8000).astype(np.uint16), label)
    metrics = score(BrightIsSurvivor(), [frame], 'thermal', label_set=PST900).metrics
    assert tuple(metrics['iou']) == PST900.names
    assert metrics['iou']['survivor'] == pytest.approx(0.75, abs=0.01)
    assert metrics['iou']['background'] == pytest.approx(0.8, abs=0.01)
    assert metrics['iou']['backpack'] is None
    assert metrics['miou'] == pytest.approx((0.75 + 0.8) / 5, abs=0.01)
    assert metrics['miou_frequent'] is None and metrics['miou_rare'] is None


def mislabeled(share):
    """A frame of which a share of the rows is labeled the other way round."""
    frame = half_bright()
    rows = int(share * len(frame.label))
    frame.label[:rows] = 2 - frame.label[:rows]
    return frame


def test_temperature_is_fitted_on_validation_and_reported_on_test():
    validation, test = [mislabeled(0.25)], [mislabeled(0.05)]
    report = evaluate_student(
        BrightIsPerson(), 'thermal', validation=validation, test=test, presets={}, real=[]
    )
    fitted, tested = (score(BrightIsPerson(), f, 'thermal') for f in (validation, test))
    own, other = (fit_temperature(s.logits, s.labels) for s in (fitted, tested))
    assert own > 1.5 * other
    found = report['calibration']
    assert found['temperature'] == pytest.approx(own, rel=1e-4)
    assert found['test_before'] == calibration_metrics(tested.logits, tested.labels, 1.0)
    assert found['test_after'] == calibration_metrics(tested.logits, tested.labels, own)
    assert report['synthetic_validation'] == fitted.metrics
    assert report['synthetic_test'] == tested.metrics


def test_real_tiles_are_reported_with_what_they_are_worth():
    tile = half_bright()
    gray = np.where(tile.label > 0, 200, 50).astype(np.uint8)
    real = RealTile(thermal=gray, rgb=tile.rgb, label=tile.label)
    frames = [half_bright()]
    report = evaluate_student(
        BrightIsPerson(), 'thermal', validation=frames, test=frames, presets={}, real=[real]
    )
    assert report['real_tiles']['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert report['real_tiles']['note'] == REAL_TILES_NOTE
    assert 'no test' in REAL_TILES_NOTE and 'fitted' in REAL_TILES_NOTE


def test_report_has_every_split():
    frames = [half_bright()]
    report = evaluate_student(
        BrightIsPerson(),
        'thermal',
        validation=frames,
        test=frames,
        presets={'night': frames, 'shifted': frames},
        real=[],
    )
    assert list(report['presets']) == ['night', 'shifted']
    assert report['presets']['shifted']['iou']['person'] > 0.98
    assert {'synthetic_validation', 'synthetic_test', 'calibration'} < set(report)
    assert 'real_tiles' not in report


def test_calibration_figures_of_a_known_case():
    logits = np.log(np.tile([0.8, 0.2], (1000, 1)))
    labels = np.repeat([0, 1], [600, 400]).astype(np.uint8)
    found = calibration_metrics(logits, labels, 1.0)
    assert found['ece'] == pytest.approx(0.2, abs=1e-4)
    assert found['nll'] == pytest.approx(-0.6 * np.log(0.8) - 0.4 * np.log(0.2), abs=1e-4)
