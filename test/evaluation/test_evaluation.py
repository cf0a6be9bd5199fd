# SPDX-License-Identifier: Apache-2.0
import argparse
import hashlib
import json
import math

import cv2
import numpy as np
import pytest
import recorded_drives as drives

from kd_perception.backends import create_backend
from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import common_types
from kd_perception.bundle import load_student
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ConfigError, ShapeError
from kd_perception.evaluation.command import evaluate_bag, evaluate_to_folder, run, summary
from kd_perception.evaluation.result import Percentiles, array_sha256
from kd_perception.pipeline import FreezeConfig, Pipeline, PipelineConfig
from kd_perception.preprocessing import AgcConfig

CONFIG = PipelineConfig(
    agc=AgcConfig(low_percentile=0.0, high_percentile=100.0), freeze=FreezeConfig(source='none')
)


@pytest.fixture(scope='module')
def student(tiny_student_folder):
    return load_student(tiny_student_folder)


@pytest.fixture
def pipeline(student):
    backend = create_backend(student, backend='onnxruntime', threads=1)
    yield Pipeline(student, backend, CONFIG)
    backend.close()


def predictions_of(pipeline, bag, skip=()):
    """What a live node would have published for a bag: {stamp: (mask, confidence, ...)}."""
    pipeline.reset()
    frames = {}
    with BagReader(bag) as source:
        for index, message in enumerate(source.messages([drives.IMAGE])):
            frame = frame_from_message(message.deserialize())
            result = pipeline.step(frame)
            if index not in skip:
                frames[frame.stamp_ns] = (result.mask, result.confidence, result.uncertainty)
    pipeline.reset()
    return frames


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
    expected = predictions_of(pipeline, bag)
    evaluation = evaluate_bag(bag, student, pipeline=pipeline)
    for record in evaluation.frames:
        mask, _, uncertainty = expected[record.stamp_ns]
        plain = hashlib.sha256(b'(96, 128)|u1' + mask.tobytes()).hexdigest()
        assert record.mask_sha256 == plain
        assert record.uncertainty_sha256 == array_sha256(uncertainty)
    assert array_sha256(np.zeros((2, 3), np.uint8)) != array_sha256(np.zeros((3, 2), np.uint8))
    assert array_sha256(mask[:, ::2]) == array_sha256(mask[:, ::2].copy())


def test_recorded_node_gives_what_the_replay_gives(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    outputs = drives.write_predictions(
        tmp_path / 'outputs',
        predictions_of(pipeline, bag),
        topics=('mask', 'confidence', 'uncertainty'),
    )
    replayed = evaluate_bag(bag, student, pipeline=pipeline)
    recorded = evaluate_bag(bag, student, predictions=outputs)
    assert repr(recorded.scores) == repr(
        replayed.scores
    )  # empty bins are NaN, which equals nothing
    assert recorded.source == replayed.source
    for one, other in zip(recorded.frames, replayed.frames, strict=True):
        assert one.mask_sha256 == other.mask_sha256
        assert one.uncertainty_sha256 == other.uncertainty_sha256
    assert recorded.latency.total.p50_ms == pytest.approx(12.0)
    assert 'receipt' in recorded.latency.definition


def test_dropped_frames_have_no_prediction_and_are_not_scored(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    frames = predictions_of(pipeline, bag, skip=(0, 3))
    frames[drives.stamp_of(99)] = next(iter(frames.values()))
    diagnostics = {
        '/thermal/thermal_seg: input': {'received': 7, 'published': 5, 'dropped': 2, 'failed': 0},
        '/thermal/thermal_seg: model': {'backend': 'openvino', 'precision': 'fp32'},
        '/other/thermal_seg: input': {'received': 1, 'published': 1, 'dropped': 0, 'failed': 0},
    }
    outputs = drives.write_predictions(tmp_path / 'outputs', frames, diagnostics=diagnostics)
    evaluation = evaluate_bag(bag, student, predictions=outputs)
    counts = evaluation.counts
    assert (counts.frames, counts.predicted, counts.scored, counts.unmatched) == (6, 4, 4, 1)
    assert (counts.received, counts.published, counts.dropped, counts.failed) == (7, 5, 2, 0)
    assert [bool(record.mask_sha256) for record in evaluation.frames] == [
        False, True, True, False, True, True,
    ]  # fmt: skip
    assert math.isnan(evaluation.scores.ece)  # the confidence was not recorded
    assert evaluation.environment['backend'] == 'openvino fp32'
    assert any('belong to no image' in note for note in evaluation.notes)


def test_frame_status_gives_latency_stages_and_the_newer_totals(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    frames = predictions_of(pipeline, bag, skip=(5,))
    status = {
        stamp_ns: {
            'latency_ms': 20.0 + index,
            'infer_ms': 10.0 + index,
            'received_total': index + 2,
            'dropped_total': 1,
            'failed_total': 0,
            'model_sha256': 'f' * 64,
        }
        for index, stamp_ns in enumerate(frames)
    }
    totals = {'received': 3, 'published': 2, 'dropped': 1, 'failed': 0}
    older = {'/thermal/thermal_seg: input': totals}
    outputs = drives.write_predictions(
        tmp_path / 'outputs', frames, latency_ms=1e9, status=status, diagnostics=older
    )
    evaluation = evaluate_bag(bag, student, predictions=outputs)
    assert 'measured by the node' in evaluation.latency.definition
    assert evaluation.latency.total == Percentiles.of([20.0, 21.0, 22.0, 23.0, 24.0])
    assert evaluation.latency.stages['infer'].max_ms == 14.0
    counts = evaluation.counts
    assert (counts.received, counts.published, counts.dropped, counts.failed) == (6, 5, 1, 0)
    assert any('another student' in note for note in evaluation.notes)


def test_recorder_that_lost_an_output_of_a_frame(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    frames = predictions_of(pipeline, bag)
    with BagWriter(tmp_path / 'outputs') as target:
        for index, (stamp_ns, (mask, confidence, uncertainty)) in enumerate(frames.items()):
            target.write_image(f'{drives.PREFIX}uncertainty', uncertainty, stamp_ns=stamp_ns)
            if index != 2:
                target.write_image(f'{drives.PREFIX}confidence', confidence, stamp_ns=stamp_ns)
            if index != 4:
                target.write_image(f'{drives.PREFIX}mask', mask, stamp_ns=stamp_ns)
    evaluation = evaluate_bag(bag, student, predictions=tmp_path / 'outputs')
    assert evaluation.counts.predicted == 5
    assert not evaluation.frames[4].mask_sha256
    pixels = sum(entry.pixels for entry in evaluation.scores.reliability)
    assert pixels == 4 * 96 * 128


def test_changed_stamps_are_told(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    frames = {s + 1: images for s, images in predictions_of(pipeline, bag).items()}
    outputs = drives.write_predictions(tmp_path / 'outputs', frames)
    with pytest.raises(BagError, match='header stamps of their images'):
        evaluate_bag(bag, student, predictions=outputs)


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


@pytest.mark.parametrize('damage', ['header', 'cut', 'short', 'type', 'size'])
@pytest.mark.parametrize('output', ['mask', 'uncertainty'])
def test_a_damaged_recorded_output_ends_nothing(tmp_path, student, pipeline, damage, output):
    bag = drives.write_drive(tmp_path / 'drive')
    drives.write_predictions(
        tmp_path / 'whole',
        predictions_of(pipeline, bag),
        topics=('mask', 'confidence', 'uncertainty'),
    )
    with BagReader(tmp_path / 'whole') as whole, BagWriter(tmp_path / 'outputs') as target:
        for number, message in enumerate(whole.messages()):
            data = message.data
            if message.topic == drives.PREFIX + output and number // 3 == 2:
                data = damaged(data, damage)
            target.write_raw(
                message.topic, message.message_type, data, log_time_ns=message.log_time_ns
            )
    evaluation = evaluate_bag(bag, student, predictions=tmp_path / 'outputs')
    assert evaluation.counts.frames == 6
    usable = 6 if output == 'uncertainty' and damage != 'size' else 5
    assert (evaluation.counts.predicted, evaluation.counts.scored) == (usable, usable)
    assert evaluation.counts.failed == 1
    assert any('1 messages could not be used' in note for note in evaluation.notes)


def damaged(data, damage):
    """One recorded image, spoiled in one of the ways that happen."""
    if damage in ('cut', 'short'):
        return data[: 6 if damage == 'short' else len(data) // 2]
    types = common_types()
    message = types.deserialize_cdr(data, 'sensor_msgs/msg/Image')
    if damage == 'type':
        message.encoding, message.step = 'mono16', 2 * message.width
        message.data = np.zeros(2 * message.width * message.height, np.uint8)
    else:
        message.height = 48
        if damage == 'size':
            message.data = message.data[: message.step * 48]
    return bytes(types.serialize_cdr(message, 'sensor_msgs/msg/Image'))


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
    with pytest.raises(BagError, match='one topic that ends in /mask'):
        evaluate_bag(bag, student, predictions=bag)


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
    paths = ('bag', 'images', 'out', 'predictions', 'labels', 'params')
    values = dict.fromkeys(texts, '') | dict.fromkeys(paths)
    values |= {'backend': 'onnxruntime', 'threads': 1, 'quiet': True}
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
