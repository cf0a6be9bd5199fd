# SPDX-License-Identifier: Apache-2.0
"""Pairs of a recording without labels: the right ones, and what was left alone is counted."""

from __future__ import annotations

import numpy as np
import pytest
from pair_bags import (
    COLOR,
    THERMAL,
    color,
    counts,
    cut_image,
    extracted,
    heat,
    stamp_of,
    write_pairs,
)

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import ConfigError
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from training.data.bag import BagPairsConfig, load_bag, main
from training.data.modality import network_image


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ('bag_extraction', 'bag'):
        monkeypatch.setattr(f'training.data.{module}.CHUNK_PAIRS', 2)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_pairs_are_the_recorded_pixels(tmp_path, storage):
    data = extracted(write_pairs(tmp_path / 'drive', 5, storage=storage), tmp_path)
    assert len(data) == 5
    for index, sample in enumerate(data):
        np.testing.assert_array_equal(sample.thermal, heat(index))
        np.testing.assert_array_equal(sample.rgb, color(index))
        assert sample.thermal.dtype == np.uint16 and sample.label is None
        assert sample.stamp_ns == stamp_of(index)
    with pytest.raises(IndexError, match='0 to 4'):
        data[5]
    with pytest.raises(ValueError, match='read-only'):
        data[1].rgb[0, 0] = 1
    assert data.report.gap_ms == {'median': 3.0, 'largest': 3.0}
    assert counts(data, 'thermal') == counts(data, 'rgb') == {'used': 5}


def test_an_exported_drive_needs_no_names(tmp_path):
    plan = ExportPlan('bag', tmp_path / 'drive', {'test': 3}, image_size=(64, 96))
    export_world(plan, workers=1)
    data = extracted(plan.out, tmp_path)
    with BagReader(plan.out) as bag:
        expected = [[f.image for f in bag.frames(topic)] for topic in (THERMAL, COLOR)]
    for sample, thermal, rgb in zip(data, *expected, strict=True):
        np.testing.assert_array_equal(sample.thermal, thermal)
        np.testing.assert_array_equal(sample.rgb, rgb)
    image, _ = network_image(data[0], 'rgbt', (64, 96))
    assert image.shape == (1, 4, 64, 96)


def test_gaps_of_both_topics_are_left_alone_and_counted(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(8):
            if index != 2:
                bag.write_image(THERMAL, heat(index), stamp_ns=stamp_of(index))
            if index not in (4, 5):
                bag.write_image(COLOR, color(index), stamp_ns=stamp_of(index, -7))
        bag.write_image(COLOR, color(99), stamp_ns=stamp_of(7, 9))  # a second one near the last
    data = extracted(tmp_path / 'drive', tmp_path)
    pairs = [0, 1, 3, 6, 7]
    assert data.stamps_ns.tolist() == [[stamp_of(i), stamp_of(i, -7)] for i in pairs]
    for index, sample in zip(pairs, data, strict=True):
        np.testing.assert_array_equal(sample.thermal, heat(index))
        np.testing.assert_array_equal(sample.rgb, color(index))
    assert counts(data, 'thermal') == {'used': 5, 'no_partner': 2}
    assert counts(data, 'rgb') == {'used': 5, 'no_partner': 2}


def test_partners_may_lie_far_apart_in_the_recording(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(7):
            bag.write_image(THERMAL, heat(index), stamp_ns=stamp_of(index))
        for index in reversed(range(7)):
            late = stamp_of(1000 - index)
            bag.write_image(COLOR, color(index), stamp_ns=stamp_of(index), log_time_ns=late)
    data = extracted(tmp_path / 'drive', tmp_path)
    assert all(np.array_equal(sample.rgb, color(i)) for i, sample in enumerate(data))
    assert len(data) == 7


def test_malformed_messages_are_counted_not_fatal(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(6):
            write_heat = cut_image if index in (1, 3) else image_of
            write_color = cut_image if index in (3, 4) else image_of
            write_heat(bag, THERMAL, heat(index), stamp_of(index))
            write_color(bag, COLOR, color(index), stamp_of(index))
        bag.write_image(THERMAL, heat(9, (24, 32)), stamp_ns=stamp_of(9))
        bag.write_image(COLOR, color(9), stamp_ns=stamp_of(9))
        bag.write_image(THERMAL, heat(10), stamp_ns=0, log_time_ns=stamp_of(10))
        bag.write_raw(COLOR, 'sensor_msgs/msg/Image', b'\0\1\0\0', log_time_ns=stamp_of(11))
    data = extracted(tmp_path / 'drive', tmp_path)
    assert [sample.stamp_ns for sample in data] == [stamp_of(i) for i in (0, 2, 5)]
    np.testing.assert_array_equal(data[2].rgb, color(5))
    left = {'used': 3, 'malformed': 3, 'partner_malformed': 1}
    assert counts(data, 'thermal') == {**left, 'no_stamp': 1}
    assert counts(data, 'rgb') == {**left, 'partner_malformed': 2}
    text = data.report.text()
    assert '3 malformed' in text and 'step * height' in text and 'must be alike' in text


def image_of(bag, topic, image, stamp_ns):
    bag.write_image(topic, image, stamp_ns=stamp_ns)


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    late = write_pairs(tmp_path / 'late', offset_ms=45.0)
    with pytest.raises(ConfigError, match=r'45\.0 ms away .* max_gap_ms is 20') as error:
        extracted(late, tmp_path)
    assert '6 without a partner' in str(error.value)
    assert len(extracted(late, tmp_path, max_gap_ms=45.0)) == 6
    with BagWriter(tmp_path / 'cut') as bag:
        for index in range(3):
            bag.write_image(THERMAL, heat(index), stamp_ns=stamp_of(index))
            (cut_image if index else image_of)(bag, COLOR, color(index), stamp_of(index))
    with pytest.raises(ConfigError, match='2 malformed'):
        load_bag(BagPairsConfig(_without_first_pair(tmp_path / 'cut')), tmp_path / 'cache')


def _without_first_pair(path):
    """The good color image comes without a partner."""
    with BagReader(path) as source, BagWriter(path.with_name('rest')) as bag:
        for index, message in enumerate(source.messages()):
            if index != 0:
                kind = message.message_type
                bag.write_raw(message.topic, kind, message.data, log_time_ns=message.log_time_ns)
    return path.with_name('rest')


def test_stride_and_limit_choose_among_the_pairs(tmp_path):
    path = write_pairs(tmp_path / 'drive', 9)
    data = extracted(path, tmp_path, stride=2, max_frames=3)
    assert [sample.stamp_ns for sample in data] == [stamp_of(i) for i in (0, 2, 4)]
    assert counts(data, 'rgb') == {'used': 3, 'left_out': 6}


def test_command_says_what_was_done(tmp_path, capsys):
    path = write_pairs(tmp_path / 'drive', 4)
    main([str(path), '--stride', '2', '--cache', str(tmp_path / 'cache')])
    printed = capsys.readouterr().out
    assert f'{THERMAL} (mono16, 48x64): 2 used, 2 left out by stride' in printed
    assert 'gap of stamps: median 3.0 ms' in printed


@pytest.mark.parametrize(
    'settings',
    [
        {'max_gap_ms': -1.0},
        {'max_gap_ms': float('nan')},
        {'stride': 0},
        {'max_frames': -1},
        {'image_size': (48,)},
        {'image_size': (48, 0)},
        {'rgb_to_thermal': (1.0, 0.0)},
        {'rgb_to_thermal': (0.0,) * 9},
        {'max_gb': 0.0},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        BagPairsConfig('drive', **settings)


def test_real_thermal_frames_with_a_color_topic_beside_them(tmp_path, real_data):
    path = real_data / 'bags' / 'ros2_thermal16_cc0'
    with pytest.raises(ConfigError, match=f'for rgb_topic; it has: .*{THERMAL}'):
        extracted(path, tmp_path)
    with BagReader(path) as source, BagWriter(tmp_path / 'both') as bag:
        frames = list(source.frames(THERMAL))
        for index, frame in enumerate(frames):
            bag.write_image(THERMAL, frame.image, stamp_ns=frame.stamp_ns)
            bag.write_image(COLOR, color(index), stamp_ns=frame.stamp_ns)
    sizes = {frame.image.shape for frame in frames}
    data = extracted(tmp_path / 'both', tmp_path)
    assert len(data) + counts(data, 'thermal').get('malformed', 0) == 3
    assert data[0].rgb.shape == (*data[0].thermal.shape, 3) and data[0].thermal.shape in sizes
    np.testing.assert_array_equal(data[0].thermal, frames[0].image)
