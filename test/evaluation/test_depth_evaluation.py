# SPDX-License-Identifier: Apache-2.0
"""Recordings with true depth: what a replay finds, and what a live node published."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import cv2
import numpy as np
import pytest
from color_drives import TOPIC, TRUTH, stamp_of, write_color_drive
from hand_made_depth import color_ramp, expected_depth

from kd_perception.backends import create_backend
from kd_perception.bags import BagReader, BagWriter
from kd_perception.bundle import Student, load_student
from kd_perception.errors import BagError, ImageEncodingError, ShapeError
from kd_perception.evaluation.depth_evaluator import evaluate_depth_bag
from kd_perception.evaluation.depth_targets import depth_targets
from kd_perception.evaluation.result import array_sha256
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from kd_perception.replay import replay_bag

OUTPUT = '/camera/mono_depth'
CONFIG = DepthPipelineConfig(freeze=FreezeConfig(source='none'))


def true_depth(index: int) -> np.ndarray:
    """What the student says at a focal length of 100 px, 25 % nearer, and NaN beyond 40 m."""
    depth, _, _ = expected_depth(color_ramp(index), 100.0)
    return np.where(depth < 40.0, 0.8 * depth, np.nan).astype(np.float32)


def sparse_depth(index: int) -> np.ndarray:
    """The same on one pixel in 50, as of a lidar."""
    hit = np.random.default_rng(index).random((96, 128)) < 0.02
    return np.where(hit, true_depth(index), np.float32(np.nan))


@pytest.fixture(scope='module')
def depth_student(tiny_depth_folder: Path) -> Student:
    return load_student(tiny_depth_folder)


@pytest.fixture
def depth_pipeline(depth_student: Student) -> Iterator[DepthPipeline]:
    backend = create_backend(depth_student, backend='onnxruntime', threads=1)
    yield DepthPipeline(depth_student, backend, CONFIG)
    backend.close()


@pytest.mark.parametrize('truth', [true_depth, sparse_depth])
def test_a_replay_finds_the_error_that_was_made(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline, truth
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0] * 3, truth)
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    counts = found.counts
    assert (counts.frames, counts.predicted, counts.labeled, counts.scored) == (3, 3, 3, 3)
    assert (counts.received, counts.published, counts.dropped, counts.failed) == (3, 3, 0, 0)
    scores = found.scores
    assert scores is not None
    assert scores.errors.abs_rel == pytest.approx(0.25, abs=1e-4)
    assert scores.errors.delta2 == 1.0
    assert scores.pixels == sum(np.isfinite(truth(index)).sum() for index in range(3))
    assert scores.answered == 1.0 and not scores.median_scaled
    assert found.source.labels == TRUTH and found.source.image_topic == TOPIC
    assert found.mode == 'replay' and found.notes == ()
    assert [record.scale for record in found.frames] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'uyvy'])
def test_cameras_that_send_no_rgb_are_scored_as_others_are(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline, encoding: str
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0] * 2, true_depth, camera=encoding)
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    assert (found.counts.predicted, found.counts.scored, found.counts.failed) == (2, 2, 0)
    assert found.scores is not None
    assert found.scores.errors.abs_rel == pytest.approx(0.25, abs=0.01)
    assert found.source.encoding == 'rgb8'


def test_sigma_and_confidence_are_held_against_the_errors(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    """The error is 20 % of the depth everywhere, so all is known in closed form."""
    drive = write_color_drive(tmp_path / 'drive', [100.0], true_depth)
    scores = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline).scores
    assert scores is not None and scores.calibration is not None
    _, share, confidence = expected_depth(color_ramp(0), 100.0)
    known = np.isfinite(true_depth(0))
    inside = NormalDist().inv_cdf(0.84) * math.sqrt(2.0) * share[known] >= 0.2
    assert scores.calibration.coverage_68 == pytest.approx(inside.mean(), abs=0.01)
    assert scores.calibration.within_2_sigma == pytest.approx(
        (2.0 * math.sqrt(2.0) * share[known] >= 0.2).mean(), abs=0.01
    )
    assert scores.ece == pytest.approx(confidence[known].mean(), abs=0.01)  # none is below 10 %
    assert scores.sparsification is not None
    assert scores.sparsification.abs_rel.error_rate == pytest.approx(0.25, abs=1e-4)


def test_hashes_are_those_of_the_replay(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, 150.0])
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    depth_pipeline.reset()
    replay_bag(drive, tmp_path / 'out', depth_pipeline)
    with BagReader(tmp_path / 'out') as bag:
        for output, name in (
            ('depth/image', 'depth_sha256'),
            ('depth/uncertainty', 'sigma_sha256'),
        ):
            hashes = [array_sha256(frame.image) for frame in bag.frames(f'{OUTPUT}/{output}')]
            assert hashes == [getattr(record, name) for record in found.frames]
    assert found.scores is None
    assert 'No ground truth: there are hashes' in found.notes[0]


def test_a_recorded_node_gives_what_the_replay_gives(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, 150.0, 120.0], true_depth)
    replay_bag(drive, tmp_path / 'outputs', depth_pipeline)
    depth_pipeline.reset()
    replayed = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    recorded = evaluate_depth_bag(
        drive, depth_student, predictions=tmp_path / 'outputs', config=CONFIG
    )
    assert recorded.mode == 'recorded'
    assert repr(recorded.scores) == repr(replayed.scores)  # empty bins are NaN
    assert recorded.source == replayed.source
    for one, other in zip(recorded.frames, replayed.frames, strict=True):
        assert (one.depth_sha256, one.sigma_sha256) == (other.depth_sha256, other.sigma_sha256)


def test_true_depth_in_the_same_recording_is_no_prediction(
    tmp_path: Path, depth_student: Student
) -> None:
    truth = np.full((96, 128), 10.0, np.float32)
    with BagWriter(tmp_path / 'all') as bag:
        for index in range(2):
            stamp_ns = stamp_of(index)
            bag.write_image(TOPIC, color_ramp(index), stamp_ns=stamp_ns)
            bag.write_image('/camera/depth/image', truth, stamp_ns=stamp_ns)
            bag.write_image(f'{OUTPUT}/depth/image', 1.5 * truth, stamp_ns=stamp_ns)
    found = evaluate_depth_bag(tmp_path / 'all', depth_student, predictions=tmp_path / 'all')
    assert found.source.labels == '/camera/depth/image'
    assert found.scores is not None and found.scores.errors.abs_rel == pytest.approx(0.5)
    with pytest.raises(BagError, match=r'of one node.*has 2'):
        evaluate_depth_bag(
            tmp_path / 'all', depth_student, predictions=tmp_path / 'all', depth_topic=TOPIC
        )


def test_recorded_relative_depth_is_scaled_by_the_medians(
    tmp_path: Path, depth_student: Student
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [None] * 2, true_depth)
    with BagWriter(tmp_path / 'outputs') as bag:
        for index in range(2):
            image = np.nan_to_num(3.0 * true_depth(index), nan=1.0)
            name = f'{OUTPUT}/relative_depth/image'
            bag.write_image(name, image, stamp_ns=stamp_of(index))
    found = evaluate_depth_bag(drive, depth_student, predictions=tmp_path / 'outputs')
    assert found.scores is not None and found.scores.median_scaled
    assert found.scores.errors.abs_rel == pytest.approx(0.0, abs=1e-6)
    assert any('scaled by the medians' in note for note in found.notes)


def test_without_a_focal_length_there_is_nothing_to_score(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, 0.0], true_depth)
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    assert (found.counts.predicted, found.counts.scored) == (2, 1)
    assert math.isnan(found.frames[1].abs_rel) and math.isnan(found.frames[1].scale)
    assert any('1 frames have no depth in meters' in note for note in found.notes)


def test_relative_depth_that_was_asked_for(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [None], true_depth)
    depth_pipeline.configure(dataclasses.replace(CONFIG, scale_mode='none'))
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    assert found.scores is not None and found.scores.median_scaled
    assert found.scores.errors.abs_rel == pytest.approx(0.0, abs=1e-4)
    assert found.scores.calibration is None


def test_a_folder_of_depth_files_stands_in_for_the_topic(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0] * 2)
    (tmp_path / 'depths').mkdir()
    for index in range(2):
        counts = np.nan_to_num(true_depth(index) * 256.0).round().astype(np.uint16)
        cv2.imwrite(f'{tmp_path}/depths/{index:06d}.png', counts)
    found = evaluate_depth_bag(
        drive,
        depth_student,
        pipeline=depth_pipeline,
        depths=tmp_path / 'depths',
        targets=depth_targets(1 / 256),
    )
    assert found.source.labels == 'folder depths'
    assert found.scores is not None
    assert found.scores.errors.abs_rel == pytest.approx(0.25, abs=2e-3)


def test_true_depth_that_does_not_fit_is_told(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    def small(index: int) -> np.ndarray:
        return np.full((48, 64), 10.0, np.float32)

    def color(index: int) -> np.ndarray:
        return np.zeros((96, 128, 3), np.uint8)

    wrong_size = write_color_drive(tmp_path / 'small', [100.0], small)
    with pytest.raises(ShapeError, match='of the size of the depth'):
        evaluate_depth_bag(wrong_size, depth_student, pipeline=depth_pipeline)
    no_depth = write_color_drive(tmp_path / 'color', [100.0], color)
    with pytest.raises(ImageEncodingError, match='/camera/depth: true depth must be one channel'):
        evaluate_depth_bag(no_depth, depth_student, pipeline=depth_pipeline)


def test_one_bad_frame_does_not_end_the_evaluation(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    def last_is_small(index: int) -> np.ndarray:
        return true_depth(index) if index == 0 else np.full((48, 64), 10.0, np.float32)

    drive = write_color_drive(tmp_path / 'drive', [100.0] * 2, last_is_small)
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    assert found.counts.scored == 1
    assert any('1 messages could not be used' in note for note in found.notes)


def test_true_depth_of_other_stamps_or_ranges_is_told(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    with BagWriter(tmp_path / 'late') as bag:
        bag.write_image(TOPIC, color_ramp(0), stamp_ns=1000)
        bag.write_image(TRUTH, true_depth(0), stamp_ns=1001)
    found = evaluate_depth_bag(tmp_path / 'late', depth_student, pipeline=depth_pipeline)
    assert found.notes[0] == (
        'No ground truth: nothing of /camera/depth has the header stamp of an image.'
    )
    far = write_color_drive(
        tmp_path / 'far', [100.0], lambda index: np.full((96, 128), 200.0, np.float32)
    )
    found = evaluate_depth_bag(far, depth_student, pipeline=depth_pipeline)
    assert found.scores is None
    assert any('No true depth lies between 0.1 and 80 m' in note for note in found.notes)


def test_what_was_evaluated_is_named(
    tmp_path: Path, depth_student: Student, depth_pipeline: DepthPipeline
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0], true_depth)
    depth_pipeline.configure(dataclasses.replace(CONFIG, uncertainty_method='tta_flip'))
    found = evaluate_depth_bag(drive, depth_student, pipeline=depth_pipeline)
    assert 'Sigma is not calibrated for tta_flip.' in found.notes
    document = json.loads(found.to_json())
    assert document['task'] == 'depth'
    assert document['student']['sha256'] == depth_student.sha256
    assert document['student']['depth']['focal_px'] == 100.0
    assert document['scores']['errors'].keys() >= {'abs_rel', 'rmse', 'delta1'}
    assert len(document['scores']['calibration']['coverage']) == 101
    assert document['frames'][0]['depth_sha256'] == found.frames[0].depth_sha256
    with pytest.raises(BagError, match='either a pipeline or'):
        evaluate_depth_bag(drive, depth_student)
