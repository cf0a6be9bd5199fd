# SPDX-License-Identifier: Apache-2.0
"""Replay: every frame of a bag through the pipeline, counted, named and repeatable."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import IMAGE_TYPE, common_types
from kd_perception.errors import BagError, ConfigError
from kd_perception.parameters.file import load_parameter_file
from kd_perception.parameters.table import (
    PARAMETERS,
    check_parameters,
    default_parameters,
    pipeline_config_from_parameters,
)
from kd_perception.preprocessing import AGC_METHODS, RADIOMETRY_PRESETS
from kd_perception.replay import output_topic, pipeline_from_parameters, replay_bag

TOPIC = '/thermal/image_raw'
MASK = '/thermal/thermal_seg/mask'


@pytest.fixture
def parameters(tiny_student_folder):
    return default_parameters() | {
        'model.path': str(tiny_student_folder),
        'backend': 'onnxruntime',
        'precision': 'fp32',
        'threads': 1,
        'warmup_iterations': 1,
    }


def write_drive(path, count=6):
    """Frames whose left part is cold and right part hot, the border moving to the right."""
    with BagWriter(path) as bag:
        for index in range(count):
            image = np.full((96, 128), 29_000, np.uint16)
            image[:, 16 * (index + 1) :] = 31_000
            bag.write_image(TOPIC, image, stamp_ns=(index + 1) * 100_000_000, frame_id='optical')
    return path


def hashes(path):
    found = defaultdict(list)
    with BagReader(path) as bag:
        for message in bag.messages():
            found[message.topic].append(hashlib.sha256(message.data).hexdigest())
    return found


def test_masks_follow_the_images_with_their_headers(tmp_path, parameters):
    pipeline = pipeline_from_parameters(parameters)
    report = replay_bag(write_drive(tmp_path / 'drive'), tmp_path / 'out', pipeline)
    assert (report.received, report.published, report.failed, report.held) == (6, 6, 0, 0)
    with BagReader(tmp_path / 'out') as bag:
        assert set(bag.topics) == {
            f'/thermal/thermal_seg/{name}'
            for name in ('mask', 'confidence', 'uncertainty', 'image_agc')
        }
        masks = list(bag.frames(MASK))
    assert [frame.stamp_ns for frame in masks] == [(i + 1) * 100_000_000 for i in range(6)]
    assert {frame.frame_id for frame in masks} == {'optical'}
    for index, frame in enumerate(masks):
        border = 16 * (index + 1)
        assert frame.image.shape == (96, 128)
        assert (frame.image[:, : border - 4] == 0).all(), 'cold is the lowest class'
        assert (frame.image[:, border + 4 :] == 8).all(), 'hot is the highest class'


def test_two_replays_are_equal_bit_for_bit(tmp_path, parameters):
    drive = write_drive(tmp_path / 'drive')
    for name in ('a', 'b'):
        replay_bag(drive, tmp_path / name, pipeline_from_parameters(parameters))
    assert hashes(tmp_path / 'a') == hashes(tmp_path / 'b')
    assert len(hashes(tmp_path / 'a')[MASK]) == 6


def test_bad_frames_are_counted_named_and_survived(tmp_path, parameters):
    with BagReader(write_drive(tmp_path / 'good')) as bag:
        good = list(bag.messages([TOPIC]))
    store = common_types()
    color = store.deserialize_cdr(good[1].data, IMAGE_TYPE)
    color.encoding = 'nv21'
    with BagWriter(tmp_path / 'drive') as bag:
        for index, message in enumerate(good):
            data = message.data
            if index == 1:
                data = bytes(store.serialize_cdr(color, IMAGE_TYPE))
            elif index == 3:
                data = data[: len(data) // 2]
            bag.write_raw(TOPIC, IMAGE_TYPE, data, log_time_ns=message.log_time_ns)
    report = replay_bag(tmp_path / 'drive', tmp_path / 'out', pipeline_from_parameters(parameters))
    assert (report.received, report.published, report.failed) == (6, 4, 2)
    assert 'nv21' in report.failures[0].reason
    assert [failure.log_time_ns for failure in report.failures] == [200_000_000, 400_000_000]
    with BagReader(tmp_path / 'out') as bag:
        assert [frame.stamp_ns // 100_000_000 for frame in bag.frames(MASK)] == [1, 3, 5, 6]


def test_held_frames_are_not_published(tmp_path, parameters):
    with BagWriter(tmp_path / 'frozen') as bag:
        for index in range(8):
            image = np.full((96, 128), 29_000, np.uint16)
            image[:, 64:] = 31_000
            bag.write_image(TOPIC, image, stamp_ns=(index + 1) * 100_000_000)
    pipeline = pipeline_from_parameters(parameters | {'ffc.policy': 'hold'})
    report = replay_bag(tmp_path / 'frozen', tmp_path / 'out', pipeline)
    assert report.held == 6, 'frozen from the third identical frame on'
    assert report.published == report.received - report.held == 2


def test_only_image_topics_are_replayed(tmp_path, parameters):
    drive = write_drive(tmp_path / 'drive')
    pipeline = pipeline_from_parameters(parameters)
    with pytest.raises(BagError, match=r'It has: /thermal/image_raw'):
        replay_bag(drive, tmp_path / 'out', pipeline, image_topic='/camera/image')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('image_topic', 'expected'),
    [
        ('/thermal/image_raw', '/thermal/thermal_seg/mask'),
        ('/thermal/image_raw/compressed', '/thermal/thermal_seg/mask'),
        ('/robot/left/image', '/robot/left/thermal_seg/mask'),
        ('/image_raw', '/thermal_seg/mask'),
    ],
)
def test_output_topics_stand_beside_the_camera(image_topic, expected):
    assert output_topic(image_topic, 'thermal_seg', 'mask') == expected


def test_real_frames_are_replayed(tmp_path, real_data, parameters):
    # The frames are of three cameras, so nothing is to be learned from the one before.
    pipeline = pipeline_from_parameters(parameters | {'agc.time_constant_s': 0.0})
    source = real_data / 'bags' / 'ros2_thermal16_cc0'
    report = replay_bag(source, tmp_path / 'out', pipeline)
    assert (report.received, report.published, report.failed) == (3, 3, 0)
    with BagReader(tmp_path / 'out') as out, BagReader(source) as bag:
        sizes = [frame.image.shape for frame in bag.frames(TOPIC)]
        assert [frame.image.shape for frame in out.frames(MASK)] == sizes
        for frame in out.frames('/thermal/thermal_seg/image_agc'):
            assert np.unique(frame.image).size > 100, 'the gain spreads real frames'


def test_the_node_file_is_read_as_the_node_reads_it(tmp_path):
    path = tmp_path / 'parameters.yaml'
    path.write_text(
        '/**:\n  ros__parameters:\n    use_sim_time: true\n    agc: {time_constant_s: 2.0}\n'
        '    min_confidence: 0.25\n'
        'mono_depth:\n  ros__parameters:\n    min_range_m: 0.1\n'
        '/thermal/thermal_seg:\n  ros__parameters:\n    min_confidence: 0.5\n'
        '    radiometry.preset: lepton_10mk\n'
    )
    config = pipeline_config_from_parameters(load_parameter_file(path))
    assert config.agc.time_constant_s == 2.0
    assert config.min_confidence == 0.5, 'the section of the node wins'
    assert config.radiometry == RADIOMETRY_PRESETS['lepton_10mk']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('thermal_seg: {ros__parameters: {agc.metod: none}}', 'Did you mean agc.method'),
        ('thermal_seg: {ros__parameters: {agc.time_constant_s: 1}}', 'must be a double'),
        ('thermal_seg: {ros__parameters: {agc.time_constant_s: 1e-1}}', 'must be a double'),
        ('thermal_seg: {ros__parameters: {threads: true}}', 'must be a integer'),
        ('thermal_seg: {ros__parameters: {min_confidence: .nan}}', r'must lie in \[0, 1\]'),
        ('thermal_seg: {ros__parameters: {device: "cuda"}}', 'must match'),
        ('thermal_seg: {ros__parameters: [1]}', 'must hold names with values'),
        ('mono_depth: {ros__parameters: {}}', 'must have a section "thermal_seg:"'),
        ('[1, 2]', 'must hold sections'),
        ('a: [', 'is not YAML'),
    ],
)
def test_wrong_parameter_files_are_explained(tmp_path, text, message):
    path = tmp_path / 'parameters.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_parameter_file(path)


@given(st.text(max_size=60))
def test_any_text_is_parameters_or_a_config_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / 'any.yaml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ConfigError):
        load_parameter_file(path)


def test_parameter_table_is_consistent():
    assert check_parameters({}) == default_parameters()
    assert len({spec.name for spec in PARAMETERS}) == len(PARAMETERS)
    by_name = {spec.name: spec for spec in PARAMETERS}
    assert set(by_name['radiometry.preset'].choices) == {*RADIOMETRY_PRESETS, 'custom'}
    assert set(by_name['agc.method'].choices) == set(AGC_METHODS)
    for spec in PARAMETERS:
        assert spec.description.endswith('.')
        is_number = type(spec.default) in (int, float)
        assert is_number == (spec.minimum is not None) == (spec.maximum is not None)


@given(
    low=st.floats(-10, 110),
    high=st.floats(-10, 110),
    scale=st.floats(allow_nan=True),
    confidence=st.floats(-1, 2),
)
def test_configurations_are_as_asked_or_refused(low, high, scale, confidence):
    values = {
        'agc.low_percentile': low,
        'agc.high_percentile': high,
        'radiometry.preset': 'custom',
        'radiometry.scale': scale,
        'min_confidence': confidence,
    }
    allowed = 0 <= low < high <= 100 and 1e-6 <= scale <= 1e6 and 0 <= confidence <= 1
    if not allowed:
        with pytest.raises(ConfigError):
            pipeline_config_from_parameters(values)
        return
    config = pipeline_config_from_parameters(values)
    assert (config.agc.low_percentile, config.agc.high_percentile) == (low, high)
    assert config.radiometry is not None
    assert config.radiometry.scale == scale
