# SPDX-License-Identifier: Apache-2.0
"""The page and the pictures of a depth evaluation."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from color_drives import TOPIC, TRUTH, stamp_of
from hand_made_depth import color_ramp
from report_text import Page

from kd_perception.bags import BagWriter
from kd_perception.bundle import Student, load_student
from kd_perception.evaluation.depth_command import evaluate_depth_to_folder, summary
from kd_perception.evaluation.depth_evaluator import EvaluatedDepth
from kd_perception.evaluation.depth_pictures import DepthPainter, pooled
from kd_perception.evaluation.depth_predictions import PredictedDepth
from kd_perception.evaluation.depth_report import write_depth_report
from kd_perception.evaluation.depth_result import DepthEvaluation, DepthFrameRecord
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.report_charts import sigma_chart
from kd_perception.frames import Frame
from kd_perception.metrics import DepthProtocol, SigmaCalibration

OUTPUT = '/camera/mono_depth/'
GRAY = [190, 190, 190]


def write_drive(folder: Path, count: int, *, truth: bool = True) -> tuple[Path, Path]:
    """A drive with depth of 10 m, and outputs that are 10 % off, 60 % in frame 5."""
    with BagWriter(folder / 'wet drive') as bag, BagWriter(folder / 'outputs') as outputs:
        for index in range(count):
            stamp_ns = stamp_of(index)
            bag.write_image(TOPIC, color_ramp(index), stamp_ns=stamp_ns)
            target = np.full((96, 128), 10.0, np.float32)
            target[:20] = np.nan
            if truth:
                bag.write_image(TRUTH, target, stamp_ns=stamp_ns)
            depth = np.full((96, 128), 16.0 if index == 5 else 11.0, np.float32)
            depth[:10] = np.inf
            sigma = np.where(np.isinf(depth), np.nan, 0.1 * depth).astype(np.float32)
            images = {
                'depth/image': depth,
                'depth/uncertainty': sigma,
                'depth/confidence': np.where(np.isinf(depth), 0, 190).astype(np.uint8),
            }
            for name, image in images.items():
                outputs.write_image(OUTPUT + name, image, stamp_ns=stamp_ns)
    return folder / 'wet drive', folder / 'outputs'


@pytest.fixture(scope='module')
def depth_student(tiny_depth_folder: Path) -> Student:
    return load_student(tiny_depth_folder)


@pytest.fixture(scope='module')
def reported(
    tmp_path_factory: pytest.TempPathFactory, depth_student: Student
) -> tuple[DepthEvaluation, Path]:
    folder = tmp_path_factory.mktemp('reported')
    drive, outputs = write_drive(folder, 8)
    found = evaluate_depth_to_folder(drive, folder / 'out', depth_student, predictions=outputs)
    return found, folder / 'out'


def test_page_is_whole_small_and_needs_nothing_else(
    reported: tuple[DepthEvaluation, Path],
) -> None:
    _, out = reported
    assert sorted(path.name for path in out.iterdir()) == [
        'depth.mp4', 'metrics.json', 'report.html',
    ]  # fmt: skip
    text = (out / 'report.html').read_text()
    page = Page(text)
    assert len(text) < 3_000_000
    assert 'http://' not in text and 'https://' not in text
    assert all(source.startswith('data:image/') for source in page.sources if source)
    assert {link for link in page.links if link} == {'depth.mp4'}


def test_page_says_what_was_found(reported: tuple[DepthEvaluation, Path]) -> None:
    found, out = reported
    text = Page((out / 'report.html').read_text()).text
    scores = found.scores
    assert scores is not None and scores.calibration is not None
    assert scores.errors.abs_rel == pytest.approx((7 * 0.1 + 0.6) / 8)
    for part in (
        'abs_rel 16.25 %',
        f'rmse {scores.errors.rmse:.3f} m',
        'delta1 87.5 %',
        'Has sigma the right size?',
        f'{100 * scores.calibration.coverage_68:.1f} %',
        'Does sigma find errors?',
        'Is the confidence right?',
        f'ECE {100 * scores.ece:.2f} %',
        'between 0.1 and 80 m; 100.0 % of these have a prediction',
        '8 of 8 frames',
        'true depth depth error sigma',
        'Mean relative error of each single frame',
        found.student['sha256'],
        'wet drive',
        'focal length 100 px',
    ):
        assert part in text
    assert 'nan' not in text
    assert 'abs_rel 16.2' in summary(found) and '87.5 %' in summary(found)


def test_strip_holds_the_worst_frame(reported: tuple[DepthEvaluation, Path]) -> None:
    _, out = reported
    text = Page((out / 'report.html').read_text()).text
    assert 'frame 5, 0.50 s, relative error 60.0 % worst frame' in text
    assert text.count('worst frame') == 1


def test_page_without_true_depth(tmp_path: Path, depth_student: Student) -> None:
    drive, outputs = write_drive(tmp_path, 2, truth=False)
    evaluate_depth_to_folder(drive, tmp_path / 'out', depth_student, predictions=outputs)
    text = Page((tmp_path / 'out' / 'report.html').read_text()).text
    assert 'No ground truth' in text and 'camera depth sigma' in text
    assert 'Has sigma the right size?' not in text and 'nan' not in text


def test_page_of_a_drive_without_any_depth(tmp_path: Path, depth_student: Student) -> None:
    drive, _ = write_drive(tmp_path, 2)
    with BagWriter(tmp_path / 'nothing') as bag:
        nothing = np.full((96, 128), np.nan, np.float32)
        bag.write_image(f'{OUTPUT}depth/image', nothing, stamp_ns=stamp_of(0))
    found = evaluate_depth_to_folder(
        drive, tmp_path / 'out', depth_student, predictions=tmp_path / 'nothing'
    )
    text = Page((tmp_path / 'out' / 'report.html').read_text()).text
    assert found.scores is None and 'nan' not in text
    assert 'No true depth lies between' in text


def test_hostile_names_stay_text(reported: tuple[DepthEvaluation, Path], tmp_path: Path) -> None:
    found, _ = reported
    source = dataclasses.replace(found.source, name='<script>alert(1)</script>')
    changed = dataclasses.replace(found, source=source, notes=('<img src=x onerror=alert(1)>',))
    painter = DepthPainter(DepthProtocol())
    write_depth_report(changed, FrameStrip(painter, 1), painter, tmp_path / 'report.html')
    text = (tmp_path / 'report.html').read_text()
    assert '<script' not in text and '<img src=x' not in text


def evaluated(
    depth: np.ndarray, target: np.ndarray | None, sigma: np.ndarray | None = None
) -> EvaluatedDepth:
    camera = np.zeros((*depth.shape, 3), np.uint8)
    camera[:] = (200, 10, 10)
    record = DepthFrameRecord(0, 1)
    return EvaluatedDepth(
        record, Frame(camera, 'rgb8', 1), target, PredictedDepth(depth, True, sigma)
    )


def test_error_is_brighter_where_larger_and_gray_where_unknown() -> None:
    target = np.full((20, 40), 10.0, np.float32)
    target[:, 30:] = np.nan
    depth = np.full((20, 40), 10.0, np.float32)
    depth[:, 10:20] = 12.0
    depth[:, 20:30] = 40.0
    panels = DepthPainter(DepthProtocol()).pictures(evaluated(depth, target, 0.2 * depth), 40)
    assert panels.error is not None and panels.target is not None and panels.sigma is not None
    shades = [int(panels.error[10, x].astype(int).sum()) for x in (5, 15, 25)]
    assert shades == sorted(set(shades)) and shades[0] < 10
    assert panels.error[10, 35].tolist() == GRAY
    # 20 % of error and 20 % of sigma have one color.
    assert panels.sigma[10, 5].tolist() == panels.error[10, 15].tolist()
    assert panels.camera[10, 5].tolist() == [200, 10, 10]
    assert panels.depth[10, 5].tolist() == panels.target[10, 5].tolist()


def test_colors_of_depth_stay_those_of_the_first_frame() -> None:
    painter = DepthPainter(DepthProtocol())
    near = np.geomspace(2.0, 20.0, 800, dtype=np.float32).reshape(20, 40)
    painter.pictures(evaluated(np.full((20, 40), np.nan, np.float32), None), 40)
    assert painter.ends_m is None
    first = painter.pictures(evaluated(near, None), 40)
    ends = painter.ends_m
    assert ends == pytest.approx(tuple(np.percentile(near, [2, 98])))
    painter.pictures(evaluated(10 * near, None), 40)
    assert painter.ends_m == ends
    assert first.target is None and first.error is None and first.sigma is None


def test_pictures_are_of_one_size_whatever_the_images_are() -> None:
    painter = DepthPainter(DepthProtocol())
    depth = np.full((33, 47), 5.0, np.float32)
    panels = painter.pictures(evaluated(depth, depth, depth), 20)
    assert {p.shape for p in panels if p is not None} == {(14, 20, 3)}
    other = evaluated(depth, np.ones((3, 4), np.float32))  # told elsewhere
    assert painter.pictures(other, 20).target is None


def test_sparse_points_survive_scaling_down() -> None:
    sparse = np.full((100, 200), np.nan, np.float32)
    sparse[41, 83] = 7.0
    sparse[61, 163], sparse[62, 162] = 4.0, 8.0
    small = pooled(sparse, (20, 10))
    assert small.shape == (10, 20)
    assert small[4, 8] == pytest.approx(7.0) and small[6, 16] == pytest.approx(6.0)
    assert np.isfinite(small[3:6, 7:10]).all()  # drawn larger
    assert np.isnan(small[0, 0])


def test_dense_cells_are_means_without_the_gaps() -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    values[0, 0] = np.nan
    expected = [[np.mean([1, 4, 5]), np.mean([2, 3, 6, 7])], [10.5, 12.5]]
    np.testing.assert_allclose(pooled(values, (2, 2)), expected)


def test_sigma_chart_lies_below_the_diagonal_where_sigma_is_too_small() -> None:
    metric = SigmaCalibration()
    error = np.random.default_rng(0).laplace(0.0, 2.0 / math.sqrt(2.0), 5000)
    metric.update(10.0 + error, np.full(5000, 10.0), np.ones(5000))
    found = metric.compute()
    assert found is not None
    chart = str(sigma_chart(found))
    assert chart.count('<path') == 2 and 'nan' not in chart
    assert all(c <= level + 0.02 for c, level in zip(found.coverage, found.level, strict=True))
