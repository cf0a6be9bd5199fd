# SPDX-License-Identifier: Apache-2.0
"""Bags of every storage are read, and damage is told instead of being believed."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ramp_bags import STORAGES, TOPIC, in_tmp_path, ramp, write_ramps
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    common_types,
)
from kd_perception.errors import BagError


@pytest.mark.parametrize('storage', STORAGES)
def test_topics_and_bare_storage_file(tmp_path, storage):
    folder = write_ramps(tmp_path / 'drive', 3, storage)
    file = next(folder.glob('drive.*'))
    for path in (folder, file):
        with BagReader(path) as bag:
            counts = {
                name: (info.message_type, info.message_count) for name, info in bag.topics.items()
            }
            info = next(iter(bag.messages(['/thermal/camera_info']))).deserialize()
        assert counts == {TOPIC: (IMAGE_TYPE, 3), '/thermal/camera_info': (CAMERA_INFO_TYPE, 3)}
        assert info.p.reshape(3, 4)[0, 2] == 8.0
        assert (info.height, info.width) == (12, 16)


def test_a_folder_that_describes_its_topics_otherwise_is_read(tmp_path):
    path = write_ramps(tmp_path / 'drive', 3)
    metadata = path / 'metadata.yaml'
    zero = '{sec: 0, nsec: 0}'
    quality = (
        '- {history: 1, depth: 5, reliability: 2, durability: 2, liveliness: 1, '
        f'deadline: {zero}, lifespan: {zero}, liveliness_lease_duration: {zero}, '
        'avoid_ros_namespace_conventions: false}'
    )
    text = metadata.read_text()
    changed = text.replace("offered_qos_profiles: ''", f"offered_qos_profiles: '{quality}'")
    assert changed != text
    metadata.write_text(changed)
    with BagReader(path) as bag:
        assert bag.topics[TOPIC].message_count == len(list(bag.frames(TOPIC))) == 3


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_compressed_recordings_are_read(tmp_path, mode, storage):
    source = write_ramps(tmp_path / 'plain', 3)
    writer = Writer(tmp_path / 'packed', version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with BagReader(source) as bag, writer:
        connection = writer.add_connection(TOPIC, IMAGE_TYPE, typestore=common_types())
        for message in bag.messages([TOPIC]):
            writer.write(connection, message.log_time_ns, message.data)
    with BagReader(source) as plain, BagReader(tmp_path / 'packed') as packed:
        before, after = list(plain.frames(TOPIC)), list(packed.frames(TOPIC))
    assert [frame.stamp_ns for frame in after] == [frame.stamp_ns for frame in before]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_compressed_images_are_decoded(tmp_path):
    image = ramp(12, 16) * 200
    types = common_types().types
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](3, 4), frame_id='optical'
    )
    png = cv2.imencode('.png', image)[1].ravel()
    message = types[COMPRESSED_IMAGE_TYPE](header=header, format='16UC1; png', data=png)
    with BagWriter(tmp_path / 'png') as bag:
        bag.write_message(f'{TOPIC}/compressed', message, log_time_ns=1)
    with BagReader(tmp_path / 'png') as bag:
        assert bag.image_topic() == f'{TOPIC}/compressed'
        (frame,) = bag.frames(f'{TOPIC}/compressed')
    np.testing.assert_array_equal(frame.image, image)
    assert (frame.encoding, frame.stamp_ns) == ('mono16', 3_000_000_004)


def test_unreadable_messages_are_counted_and_the_rest_is_read(tmp_path):
    with BagReader(write_ramps(tmp_path / 'good', 1)) as bag:
        good = next(iter(bag.messages([TOPIC]))).data
    half_a_header = good[:9]
    lies_about_its_size = good[:-5]
    with BagWriter(tmp_path / 'bad') as bag:
        for index, data in enumerate([half_a_header, good, lies_about_its_size, b'', good]):
            bag.write_raw(TOPIC, IMAGE_TYPE, data, log_time_ns=index)
    with BagReader(tmp_path / 'bad') as bag:
        assert len(list(bag.frames(TOPIC))) == 2
        assert bag.failure_count == 3
        assert [failure.log_time_ns for failure in bag.failures] == [0, 2, 3]
        assert all(TOPIC in failure.reason for failure in bag.failures)


def test_too_large_messages_are_counted(tmp_path):
    path = write_ramps(tmp_path / 'drive', 2)
    with BagReader(path, max_message_bytes=300) as bag:
        assert list(bag.frames(TOPIC)) == []
        assert bag.failure_count == 2


@pytest.mark.parametrize('storage', STORAGES)
@in_tmp_path
@given(data=st.data())
def test_a_damaged_bag_raises_a_bag_error_or_is_read(tmp_path, storage, data):
    original = tmp_path / f'original_{storage}'
    if not original.exists():
        write_ramps(original, 3, storage)
    content = bytearray(next(original.glob('original_*.*')).read_bytes())
    if data.draw(st.booleans(), 'cut off'):
        del content[data.draw(st.integers(0, len(content) - 1), 'length') :]
    else:
        for _ in range(data.draw(st.integers(1, 8), 'damaged bytes')):
            position = data.draw(st.integers(0, len(content) - 1), 'position')
            content[position] ^= data.draw(st.integers(1, 255), 'change')
    damaged = tmp_path / f'damaged.{"mcap" if storage == "mcap" else "db3"}'
    damaged.write_bytes(content)
    try:
        with BagReader(damaged) as bag:
            for name in bag.topics:
                for message in bag.messages([name]):
                    message.deserialize()
    except BagError as error:
        assert str(error)


def test_errors_tell_what_to_do(tmp_path):
    path = write_ramps(tmp_path / 'drive', 1)
    with BagReader(path) as bag:
        with pytest.raises(BagError, match=r'/image_raw \(sensor_msgs/msg/Image, 1 messages\)'):
            bag.messages(['/thermal/depth'])
        with pytest.raises(BagError, match='carries sensor_msgs/msg/CameraInfo'):
            bag.frames('/thermal/camera_info')
    with pytest.raises(BagError, match='There is no bag'), BagReader(tmp_path / 'missing'):
        pass
    (path / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=r'Give the file itself: .*drive\.mcap'), BagReader(path):
        pass
    with pytest.raises(BagError, match='with BagReader'):
        bag.messages()


def test_the_image_topic_is_found_or_asked_for(tmp_path):
    with BagWriter(tmp_path / 'one') as bag:
        bag.write_image('/thermal/label', ramp(3, 4, np.uint8), stamp_ns=1)
        bag.write_image(TOPIC, ramp(3, 4), stamp_ns=1)
    with BagReader(tmp_path / 'one') as bag:
        assert bag.image_topic() == TOPIC
    with BagWriter(tmp_path / 'two') as bag:
        bag.write_image('/left/image_raw', ramp(3, 4), stamp_ns=1)
        bag.write_image('/right/image_raw', ramp(3, 4), stamp_ns=1)
    with (
        BagReader(tmp_path / 'two') as bag,
        pytest.raises(BagError, match=r'Name the image topic.*/left/image_raw.*/right/image_raw'),
    ):
        bag.image_topic()


def test_real_thermal_bag(real_data):
    with BagReader(real_data / 'bags' / 'ros2_thermal16_cc0') as bag:
        frames = list(bag.frames(bag.image_topic()))
        assert bag.failure_count == 0
    assert len(frames) == 3
    assert {frame.encoding for frame in frames} == {'mono16'}
    assert all(np.ptp(frame.image) > 50 for frame in frames)
    assert [frame.stamp_ns for frame in frames] == sorted(frame.stamp_ns for frame in frames)


@pytest.mark.parametrize('storage', STORAGES)
def test_real_talker_bag(real_data, storage):
    with BagReader(real_data / 'bags' / 'rosbag2_talker' / storage) as bag:
        texts = [message.deserialize().data for message in bag.messages(['/topic'])]
        assert bag.topics['/rosout'].transient_local
        assert not bag.topics['/topic'].transient_local
        with pytest.raises(BagError, match='has 0 topics with images'):
            bag.image_topic()
    assert len(texts) == 10
    assert len(set(texts)) == 10


def test_real_ros1_bag_says_how_to_convert_it(real_data, tmp_path):
    path = real_data / 'bags' / 'ros1_raspicam_compressed.bag'
    with pytest.raises(BagError, match='rosbags-convert --src'), BagReader(path):
        pass


def test_real_bag_without_metadata_is_read_from_its_file(real_data, tmp_path):
    source = real_data / 'bags' / 'ros2_thermal16_cc0' / 'ros2_thermal16_cc0.db3'
    shutil.copy(source, tmp_path / 'only.db3')
    with BagReader(tmp_path / 'only.db3') as bag:
        assert sum(1 for _ in bag.frames('/thermal/image_raw')) == 3
