# SPDX-License-Identifier: Apache-2.0
"""A recording is evaluated by what a node published for it, whatever the recorder lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import recorded_drives as drives

from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import common_types
from kd_perception.errors import BagError
from kd_perception.evaluation.command import evaluate_bag
from kd_perception.evaluation.result import Percentiles


def test_recorded_node_gives_what_the_replay_gives(tmp_path, student, pipeline):
    bag = drives.write_drive(tmp_path / 'drive')
    outputs = drives.write_predictions(
        tmp_path / 'outputs',
        drives.predictions_of(pipeline, bag),
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
    frames = drives.predictions_of(pipeline, bag, skip=(0, 3))
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
    frames = drives.predictions_of(pipeline, bag, skip=(5,))
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
    frames = drives.predictions_of(pipeline, bag)
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
    frames = {s + 1: images for s, images in drives.predictions_of(pipeline, bag).items()}
    outputs = drives.write_predictions(tmp_path / 'outputs', frames)
    with pytest.raises(BagError, match='header stamps of their images'):
        evaluate_bag(bag, student, predictions=outputs)


@pytest.mark.parametrize('damage', ['header', 'cut', 'short', 'type', 'size'])
@pytest.mark.parametrize('output', ['mask', 'uncertainty'])
def test_a_damaged_recorded_output_ends_nothing(tmp_path, student, pipeline, damage, output):
    bag = drives.write_drive(tmp_path / 'drive')
    drives.write_predictions(
        tmp_path / 'whole',
        drives.predictions_of(pipeline, bag),
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
