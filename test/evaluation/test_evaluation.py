# SPDX-License-Identifier: Apache-2.0
"""A recording is evaluated by its replay: scores, hashes, counts, and what is refused."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
import recorded_drives as drives

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import BagError, ShapeError
from kd_perception.evaluation.command import evaluate_bag
from kd_perception.evaluation.result import array_sha256


def test_replay_scores_the_tiny_student(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    evaluation = evaluate_bag(bag, student, pipeline=pipeline)
    counts = evaluation.counts
    assert (counts.frames, counts.predicted, counts.labeled, counts.scored) == (6, 6, 6, 6)
    assert (counts.received, counts.published, counts.dropped, counts.failed) == (6, 6, 0, 0)
    # The class is the gray level: only the mixed cells at the borders of the stripes are wrong.
    assert evaluation.scores.segmentation.miou > 0.7
    assert evaluation.scores.segmentation.pixel_accuracy > 0.85
    assert sum(map(sum, evaluation.scores.confusion)) == 6 * 96 * 128
    assert evaluation.latency.total.frames == 6
    assert set(evaluation.latency.stages) == {'preprocess', 'infer', 'postprocess'}
    assert evaluation.source.rate_hz == pytest.approx(10.0)
    assert evaluation.source.image_size == (96, 128)


def test_hashes_are_of_shape_type_and_bytes(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    expected = drives.predictions_of(pipeline, bag)
    evaluation = evaluate_bag(bag, student, pipeline=pipeline)
    for record in evaluation.frames:
        mask, _, uncertainty = expected[record.stamp_ns]
        plain = hashlib.sha256(b'(96, 128)|u1' + mask.tobytes()).hexdigest()
        assert record.mask_sha256 == plain
        assert record.uncertainty_sha256 == array_sha256(uncertainty)
    assert array_sha256(np.zeros((2, 3), np.uint8)) != array_sha256(np.zeros((3, 2), np.uint8))
    assert array_sha256(mask[:, ::2]) == array_sha256(mask[:, ::2].copy())


def test_bag_without_labels_has_hashes_and_times_but_no_scores(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive', with_labels=False)
    evaluation = evaluate_bag(bag, student, pipeline=pipeline)
    assert evaluation.scores is None
    assert all(record.mask_sha256 for record in evaluation.frames)
    assert any('no metrics' in note for note in evaluation.notes)
    document = json.loads(evaluation.to_json())
    assert document['scores'] is None and document['frames'][0]['miou'] is None


def test_unreadable_frames_are_counted_and_the_rest_goes_on(tmp_path, student, pipeline):
    bag = tmp_path / 'drive'
    with BagWriter(bag) as target:
        for index in range(3):
            image, label = drives.level_scene(index)
            stamp_ns = drives.stamp_of(index)
            encoding = '32FC1' if index == 1 else ''  # twice as many bytes as there are
            target.write_image(drives.IMAGE, image, stamp_ns=stamp_ns, encoding=encoding)
            target.write_image(drives.LABEL, label, stamp_ns=stamp_ns)
    evaluation = evaluate_bag(bag, student, pipeline=pipeline)
    counts = evaluation.counts
    assert (counts.frames, counts.published, counts.failed, counts.scored) == (3, 2, 1, 2)
    assert any('1 messages could not be used' in note for note in evaluation.notes)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('with_labels', [True, False])
def test_messages_too_short_for_a_stamp_are_failed_frames(
    tmp_path, student, pipeline, storage, with_labels
):
    with BagWriter(tmp_path / 'drive', storage=storage) as bag:
        for index in range(4):
            image, label = drives.level_scene(index)
            stamp_ns = drives.stamp_of(index)
            topics = [drives.IMAGE, drives.LABEL][: 1 + with_labels]
            for topic, array in zip(topics, (image, label), strict=False):
                if index == 1 or (index == 2 and topic == drives.LABEL):
                    kind = 'sensor_msgs/msg/Image'
                    bag.write_raw(topic, kind, b'\0\1\0\0\1\0', log_time_ns=stamp_ns)
                else:
                    bag.write_image(topic, array, stamp_ns=stamp_ns)
    evaluation = evaluate_bag(tmp_path / 'drive', student, pipeline=pipeline)
    counts = evaluation.counts
    assert (counts.frames, counts.received, counts.predicted, counts.failed) == (4, 4, 3, 1)
    assert counts.scored == (2 if with_labels else 0)
    expected = 3 if with_labels else 1
    assert any(f'{expected} messages could not be used' in note for note in evaluation.notes)


def test_images_that_are_too_large_are_failed_frames(tmp_path, student, pipeline, monkeypatch):
    with BagWriter(tmp_path / 'drive') as bag:
        for index, size in enumerate([(96, 128), (192, 128), (96, 128)]):
            image = drives.level_scene(index, size)[0]
            bag.write_image(drives.IMAGE, image, stamp_ns=drives.stamp_of(index))
    monkeypatch.setitem(BagReader.__init__.__kwdefaults__, 'max_message_bytes', 30_000)
    evaluation = evaluate_bag(tmp_path / 'drive', student, pipeline=pipeline)
    counts = evaluation.counts
    assert (counts.frames, counts.published, counts.failed) == (3, 2, 1)
    assert any('allowed are 30000' in note for note in evaluation.notes)


def test_labels_of_another_size_are_refused(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive', 1, with_labels=False)
    folder = tmp_path / 'labels'
    folder.mkdir()
    cv2.imwrite(f'{folder}/0.png', np.zeros((48, 64), np.uint8))
    with pytest.raises(ShapeError, match='labels must be of the size of masks'):
        evaluate_bag(bag, student, pipeline=pipeline, labels=folder)


def test_source_hash_depends_on_content_not_on_the_container(tmp_path, student, pipeline):
    hashes = set()
    for storage in ('mcap', 'sqlite3'):
        with BagWriter(tmp_path / storage, storage=storage) as bag:
            image, label = drives.level_scene(0)
            bag.write_image(drives.IMAGE, image, stamp_ns=1)
            bag.write_image(drives.LABEL, label, stamp_ns=1)
        pipeline.reset()
        evaluation = evaluate_bag(tmp_path / storage, student, pipeline=pipeline)
        hashes.add(evaluation.source.sha256)
    assert len(hashes) == 1
    with BagWriter(tmp_path / 'other') as bag:
        bag.write_image(drives.IMAGE, image + np.uint16(1), stamp_ns=1)
        bag.write_image(drives.LABEL, label, stamp_ns=1)
    pipeline.reset()
    other = evaluate_bag(tmp_path / 'other', student, pipeline=pipeline)
    assert other.source.sha256 not in hashes


def test_exactly_one_origin_of_predictions(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive', 1)
    with pytest.raises(BagError, match='either a pipeline or'):
        evaluate_bag(bag, student)
    with pytest.raises(BagError, match='of one node, with a topic that ends in /mask'):
        evaluate_bag(bag, student, predictions=bag)
