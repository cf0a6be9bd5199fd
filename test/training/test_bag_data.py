# SPDX-License-Identifier: Apache-2.0
"""Pairs of a recording without labels: right, counted, cached whole or not at all."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pair_bags import (
    COLOR,
    THERMAL,
    color,
    compressed_image,
    cut_image,
    heat,
    stamp_of,
    write_pairs,
)

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import BagError, ConfigError
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from training.data import bag_chunks, bag_digest, bag_extraction
from training.data.bag import BagPairsConfig, load_bag, main
from training.data.bag_report import REASONS
from training.data.modality import network_image


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ('bag_extraction', 'bag'):
        monkeypatch.setattr(f'training.data.{module}.CHUNK_PAIRS', 2)


def extracted(path, tmp_path, **settings):
    return load_bag(BagPairsConfig(path, **settings), tmp_path / 'cache')


def counts(data, kind):
    found = data.report.messages[kind]
    assert set(found) == set(REASONS)
    return {name: count for name, count in found.items() if count}


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


def test_missing_and_doubtful_topics_are_refused_with_what_there_is(tmp_path):
    path = write_pairs(tmp_path / 'drive')
    with pytest.raises(BagError, match=f'/no/such .*{THERMAL}'):
        extracted(path, tmp_path, thermal_topic='/no/such')
    with pytest.raises(ConfigError, match=r'rgb_topic .* /thermal/image_raw has mono16'):
        extracted(path, tmp_path, rgb_topic=THERMAL)
    with pytest.raises(BagError, match='no bag at'):
        extracted(tmp_path / 'nowhere', tmp_path)
    with BagWriter(tmp_path / 'heat') as bag:
        bag.write_image(THERMAL, heat(0), stamp_ns=stamp_of(0))
        bag.write_image('/bayer', heat(0), stamp_ns=stamp_of(0), encoding='bayer_rggb8')
    with pytest.raises(ConfigError, match=r"rgb8, bgr8.* for rgb_topic.* Of /bayer .*'bayer_rgg"):
        extracted(tmp_path / 'heat', tmp_path)
    with pytest.raises(ConfigError, match=r'of /bayer none could be read: .*bayer_rggb8'):
        extracted(tmp_path / 'heat', tmp_path, rgb_topic='/bayer')


def test_of_several_candidates_one_must_be_named(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        for index, topic in enumerate(('/left/image_raw', '/right/image_raw', '/mono')):
            bag.write_image(topic, heat(index), stamp_ns=stamp_of(0))
        bag.write_image('/color', color(0), stamp_ns=stamp_of(0))
    with pytest.raises(ConfigError, match=r'/left/image_raw \(mono16, 48x64\), .*/mono.*/right'):
        extracted(tmp_path / 'drive', tmp_path)
    data = extracted(tmp_path / 'drive', tmp_path, thermal_topic='/right/image_raw')
    np.testing.assert_array_equal(data[0].thermal, heat(1))


def test_compressed_and_swapped_colors_are_read_as_the_robot_reads_them(tmp_path):
    flat = np.full((48, 64, 3), (200, 100, 20), np.uint8)
    with BagWriter(tmp_path / 'drive') as bag:
        compressed_image(bag, f'{THERMAL}/compressed', heat(0), stamp_of(0))
        compressed_image(bag, '/jpeg', flat, stamp_of(0), '.jpg')
        compressed_image(bag, '/png', flat, stamp_of(0))
        for code in ('bgr8', '8UC3'):
            bag.write_image(f'/{code}', flat[..., ::-1], stamp_ns=stamp_of(0), encoding=code)
    for topic in ('/jpeg', '/png', '/bgr8', '/8UC3'):
        sample = extracted(tmp_path / 'drive', tmp_path, rgb_topic=topic)[0]
        np.testing.assert_array_equal(sample.thermal, heat(0))
        np.testing.assert_allclose(sample.rgb, flat, atol=3)


def test_stride_and_limit_choose_among_the_pairs(tmp_path):
    path = write_pairs(tmp_path / 'drive', 9)
    data = extracted(path, tmp_path, stride=2, max_frames=3)
    assert [sample.stamp_ns for sample in data] == [stamp_of(i) for i in (0, 2, 4)]
    assert counts(data, 'rgb') == {'used': 3, 'left_out': 6}


def test_size_is_bounded_before_anything_is_written(tmp_path):
    path = write_pairs(tmp_path / 'drive')
    with pytest.raises(ConfigError, match=r'6 of 48x64 have 0\.00: raise stride'):
        extracted(path, tmp_path, max_gb=9e-5)
    assert not list((tmp_path / 'cache').rglob('*.npy*'))
    assert len(extracted(path, tmp_path, max_gb=9.3e-5)) == 6


def test_interrupted_extraction_goes_on_and_leaves_nothing_half(tmp_path, monkeypatch):
    path, read = write_pairs(tmp_path / 'drive', 7), []

    def dying(message):
        read.append(message)
        if len(read) == 8:
            raise KeyboardInterrupt
        return decode(message)

    decode = bag_extraction.frame_from_message
    monkeypatch.setattr(bag_extraction, 'frame_from_message', dying)
    with pytest.raises(KeyboardInterrupt):
        extracted(path, tmp_path)
    (folder,) = (f for f in (tmp_path / 'cache').iterdir() if f.name != 'digests')
    names = sorted(file.name for file in folder.iterdir())
    assert names == ['chunk_000000.json', 'lock', 'rgb_000000.npy', 'thermal_000000.npy']
    (folder / 'rgb_000001.npy.part').write_bytes(b'left by a killed process')
    data = extracted(path, tmp_path)
    assert len(read) == 8 + 2 * 5, 'the first chunk is not read again'
    assert data.folder == folder and not list(folder.glob('*.part'))
    assert data.digest() == load_bag(BagPairsConfig(path), tmp_path / 'other').digest()
    assert counts(data, 'thermal') == {'used': 7}


def test_arrays_without_their_list_do_not_count(tmp_path):
    path = write_pairs(tmp_path / 'drive', 3)
    data = extracted(path, tmp_path)
    expected = data.digest()
    (data.folder / 'pairs.json').unlink()
    bag_chunks.list_path(data.folder, 0).unlink()
    bag_chunks.array_path(data.folder, 'rgb', 0).write_bytes(b'torn')
    assert extracted(path, tmp_path).digest() == expected


def test_cache_belongs_to_content_and_settings(tmp_path, monkeypatch):
    path = write_pairs(tmp_path / 'drive')
    first = extracted(path, tmp_path)
    shutil.copytree(path, tmp_path / 'copy')
    other = extracted(write_pairs(tmp_path / 'other', offset_ms=4.0), tmp_path)
    wide = extracted(path, tmp_path, max_gap_ms=30.0)
    assert len({data.folder for data in (first, other, wide)}) == 3
    for module in ('bag.extract', 'bag_extraction.frame_from_message'):
        monkeypatch.setattr(f'training.data.{module}', None)
    assert extracted(tmp_path / 'copy', tmp_path, max_gb=1.0).folder == first.folder
    monkeypatch.setattr(bag_digest, '_hash', None)
    again = extracted(path, tmp_path)
    assert again.digest() == first.digest() and again.report == first.report


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


def test_real_bag_without_images_is_refused(tmp_path, real_data):
    with pytest.raises(ConfigError, match=r'for thermal_topic; it has: .*/rosout'):
        extracted(real_data / 'bags' / 'rosbag2_talker' / 'mcap', tmp_path)
