# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math
import re

import numpy as np
import pytest
import recorded_drives as drives
from report_text import Page

from kd_perception.bundle import load_student, save_student
from kd_perception.evaluation.command import evaluate_to_folder
from kd_perception.evaluation.evaluator import EvaluatedFrame
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.predictions import Prediction
from kd_perception.evaluation.report import write_report
from kd_perception.evaluation.report_charts import (
    drive_chart,
    nice_end,
    reliability_chart,
    sparsification_chart,
)
from kd_perception.evaluation.report_images import Painter, color_from_uncertainty, paint_panels
from kd_perception.evaluation.result import FrameRecord
from kd_perception.frames import Frame
from kd_perception.metrics import CalibrationBins, Sparsification


@pytest.fixture(scope='module')
def recorded(tmp_path_factory, tiny_student_folder):
    """An evaluation of a live recording with a dropped frame, and its report."""
    folder = tmp_path_factory.mktemp('recorded')
    bag = drives.write_drive(folder / 'night drive', 12)
    random = np.random.default_rng(0)
    frames = {}
    for index in range(12):
        if index == 3:
            continue
        label = drives.level_scene(index)[1]
        share = 0.6 if index == 8 else 0.1
        wrong = random.random(label.shape) < share
        mask = np.where(wrong, (label + 1) % 9, label).astype(np.uint8)
        confidence = np.where(wrong, 120, 240).astype(np.uint8)
        uncertainty = (1 - confidence / 255).astype(np.float32)
        frames[drives.stamp_of(index)] = (mask, confidence, uncertainty)
    outputs = drives.write_predictions(
        folder / 'outputs',
        frames,
        diagnostics={
            'thermal_seg: input': {'received': 12, 'published': 11, 'dropped': 1, 'failed': 0}
        },
        topics=('mask', 'confidence', 'uncertainty'),
    )
    student = load_student(tiny_student_folder)
    evaluation = evaluate_to_folder(bag, folder / 'out', student, predictions=outputs)
    return evaluation, folder / 'out'


def test_page_is_whole_small_and_needs_nothing_else(recorded):
    _, out = recorded
    text = (out / 'report.html').read_text()
    page = Page(text)
    assert len(text) < 3_000_000
    assert 'http://' not in text and 'https://' not in text
    assert all(source.startswith('data:image/') for source in page.sources if source)
    assert {link for link in page.links if link} == {'overlay.mp4'}


def test_page_says_what_was_found(recorded):
    evaluation, out = recorded
    text = Page((out / 'report.html').read_text()).text
    segmentation = evaluation.scores.segmentation
    assert f'{100 * segmentation.miou_nanmean:.1f} %' in text
    for info, iou in zip(evaluation.student['classes'], segmentation.iou, strict=True):
        assert info['name'] in text
        assert math.isnan(iou) or f'{100 * iou:.1f} %' in text
    assert '11 of 12 frames' in text
    assert re.search(r'dropped 1 ', text)
    assert 'p99' in text and '12.0 ms' in text
    assert evaluation.student['sha256'] in text
    assert 'night drive' in text


def test_strip_holds_the_worst_frame(recorded):
    evaluation, out = recorded
    text = Page((out / 'report.html').read_text()).text
    assert min(evaluation.frames, key=lambda r: np.nan_to_num(r.miou, nan=2.0)).index == 8
    assert re.search(r'frame 8, 0.80 s, mIoU [\d.]+ % worst frame', text)
    assert text.count('worst frame') == 1


def test_hostile_names_stay_text(recorded, tmp_path, tiny_student_folder):
    evaluation, _ = recorded
    source = dataclasses.replace(evaluation.source, name='<script>alert(1)</script>')
    notes = ('<img src=x onerror=alert(1)>',)
    changed = dataclasses.replace(evaluation, source=source, notes=notes)
    strip = FrameStrip(Painter(load_student(tiny_student_folder)), 1)
    write_report(changed, strip, tmp_path / 'report.html')
    text = (tmp_path / 'report.html').read_text()
    assert '<script' not in text and '<img src=x' not in text


@pytest.mark.parametrize('trained_on', ['synthetic world', '1500 synthetic frames', 'MFNet'])
def test_synthetic_training_is_said_where_it_is_so(tmp_path, tiny_student_folder, trained_on):
    tiny = load_student(tiny_student_folder)
    figures = {'synthetic_test': {'miou': 0.123456}}
    provenance = {'trained_on': trained_on, 'seed': 3, 'metrics': figures}
    spec = dataclasses.replace(tiny.spec, provenance=provenance)
    save_student(
        tmp_path / 'student', spec, onnx=tiny.onnx, weights=tiny.weights, model_card='# x'
    )
    bag = drives.write_drive(tmp_path / 'drive', 1)
    mask = np.zeros((96, 128), np.uint8)
    frames = {drives.stamp_of(0): (mask, mask, mask.astype(np.float32))}
    outputs = drives.write_predictions(tmp_path / 'outputs', frames)
    student = load_student(tmp_path / 'student')
    evaluate_to_folder(bag, tmp_path / 'out', student, predictions=outputs)
    text = Page((tmp_path / 'out' / 'report.html').read_text()).text
    assert ('synthetic images only' in text) == (trained_on != 'MFNet')
    assert f'trained on {trained_on} seed 3' in text
    assert 'metrics: synthetic test: miou 0.1235' in text


def test_recording_without_labels_or_predictions_still_has_a_page(tmp_path, tiny_student_folder):
    bag = drives.write_drive(tmp_path / 'drive', 3, with_labels=False)
    mask = np.full((96, 128), 255, np.uint8)
    nothing = np.full((96, 128), np.nan, np.float32)
    frames = {drives.stamp_of(1): (mask, mask, nothing)}
    outputs = drives.write_predictions(
        tmp_path / 'outputs', frames, latency_ms=-5.0, topics=('mask', 'uncertainty')
    )
    student = load_student(tiny_student_folder)
    evaluate_to_folder(bag, tmp_path / 'out', student, predictions=outputs)
    text = Page((tmp_path / 'out' / 'report.html').read_text()).text
    assert 'No ground truth' in text
    assert 'Confusion' not in text and 'nan' not in text


def evaluated(index, miou):
    gray = np.zeros((8, 8), np.uint8)
    record = FrameRecord(index, index, miou=miou)
    return EvaluatedFrame(record, Frame(gray, 'mono8', index), gray, Prediction(gray, gray=gray))


def test_strip_is_spread_and_bounded(tiny_student_folder):
    strip = FrameStrip(Painter(load_student(tiny_student_folder)), 100)
    for index in range(100):
        if index % 20 != 0:  # dropped: the next one stands in
            strip(evaluated(index, 0.2 if index == 57 else 0.9 - 0.001 * index))
    # 57 stands in for its neighbor 59 of the even spread.
    assert [row.index for row in strip.rows()] == [1, 21, 41, 57, 79, 99]
    assert strip.worst_index == 57


def test_strip_without_labels_has_no_worst_frame(tiny_student_folder):
    strip = FrameStrip(Painter(load_student(tiny_student_folder)), 3)
    for index in range(3):
        strip(evaluated(index, math.nan))
    assert strip.worst_index is None
    assert [row.index for row in strip.rows()] == [0, 1, 2]


def test_panels_show_classes_where_they_are():
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (0, 100, 0)
    gray = np.full((60, 80), 100, np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 1
    mask[:10] = 255
    panels = paint_panels(gray, None, mask, None, palette=palette, width=80)
    red, green, blue = panels.mask[40, 60].astype(int)
    assert green > 100 > max(red, blue)
    assert panels.mask[40, 10].tolist() == panels.mask[3, 60].tolist() == [81, 81, 81]
    assert panels.mask[40, 40].tolist() == [255, 255, 255]
    assert panels.label is None


def test_uncertainty_is_brighter_where_larger_and_gray_where_unknown():
    uncertainty = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    picture = color_from_uncertainty(uncertainty, (4, 1))[0].astype(int)
    brightness = picture.sum(axis=1)
    assert brightness[0] < brightness[1] < brightness[2]
    assert picture[3].tolist() == [190, 190, 190]
    assert (color_from_uncertainty(None, (4, 1)) == 190).all()


def points_of(chart, color):
    path = re.search(rf'<path d="([^"]+)"[^>]*stroke="{color}"', chart).group(1)
    return [tuple(map(float, pair)) for pair in re.findall(r'([\d.]+) ([\d.]+)', path)]


def test_sparsification_chart_draws_the_curve():
    metrics = Sparsification()
    uncertainty = np.linspace(0, 1, 1000, dtype=np.float32)
    metrics.update(uncertainty, uncertainty > 0.8)
    chart = sparsification_chart(metrics.compute())
    points = points_of(chart, '#2563a8')
    assert len(points) == 51
    heights = [y for _, y in points]
    assert heights == sorted(heights)  # downward on the page: removing lowers the error
    assert points[-1][0] > points[0][0]


def test_reliability_chart_has_a_bar_per_filled_bin():
    bins = CalibrationBins()
    bins.update(np.array([0.5, 0.9, 0.95]), np.array([True, False, True]))
    chart = reliability_chart(bins.bins)
    assert chart.count('<rect') == 3
    assert 'nan' not in chart


def test_drive_chart_breaks_at_unknown_values():
    chart = drive_chart([0.0, 1.0, 2.0, 3.0], [0.5, math.nan, 0.5, 0.6], 'x', 1.0)
    assert re.search(r'<path d="([^"]+)"', chart).group(1).count('M') == 2


@pytest.mark.parametrize(('largest', 'end'), [(0.013, 0.02), (1.0, 1.0), (16.2, 20.0), (81, 100)])
def test_axes_end_at_round_numbers(largest, end):
    assert nice_end(largest) == pytest.approx(end)
