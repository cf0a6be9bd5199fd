# SPDX-License-Identifier: Apache-2.0
"""What is written is read back, and only a whole bag takes its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ramp_bags import STORAGES, TOPIC, in_tmp_path, ramp, write_ramps

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import BagError

DTYPES = (np.uint8, np.uint16, np.float32)


@in_tmp_path
@given(
    storage=st.sampled_from(STORAGES),
    dtype=st.sampled_from(DTYPES),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stamps=st.lists(st.integers(0, 2**31 * 10**9 - 1), min_size=1, max_size=5, unique=True),
    frame_id=st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=12),
)
def test_images_come_back_as_written(tmp_path, storage, dtype, size, stamps, frame_id):
    path = tmp_path / 'bag'
    images = {stamp: ramp(*size, dtype, seed=stamp % 97) for stamp in stamps}
    with BagWriter(path, storage=storage, overwrite=True) as bag:
        for stamp, image in images.items():
            bag.write_image(TOPIC, image, stamp_ns=stamp, frame_id=frame_id)
    with BagReader(path) as bag:
        frames = list(bag.frames(TOPIC))
        assert bag.duration_ns == max(stamps) - min(stamps)
    assert [frame.stamp_ns for frame in frames] == sorted(stamps), 'not in recording order'
    for frame in frames:
        np.testing.assert_array_equal(frame.image, images[frame.stamp_ns])
        assert frame.image.dtype == dtype
        assert frame.frame_id == frame_id


def test_raw_bytes_are_copied_untouched(tmp_path):
    with BagReader(write_ramps(tmp_path / 'a', 4)) as source, BagWriter(tmp_path / 'b') as target:
        for message in source.messages():
            target.write_raw(
                message.topic,
                message.message_type,
                message.data,
                log_time_ns=message.log_time_ns,
            )
    with BagReader(tmp_path / 'a') as first, BagReader(tmp_path / 'b') as second:
        assert [(m.topic, m.log_time_ns, m.data) for m in first.messages()] == [
            (m.topic, m.log_time_ns, m.data) for m in second.messages()
        ]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'out') as bag:
        bag.write_image(TOPIC, ramp(600, 700), stamp_ns=1)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_bag_is_not_at_its_path(tmp_path):
    with BagWriter(tmp_path / 'out') as bag:
        bag.write_image(TOPIC, ramp(600, 700), stamp_ns=1)
        assert not (tmp_path / 'out').exists()
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_only_bags_are_replaced_and_only_on_request(tmp_path):
    path = write_ramps(tmp_path / 'out', 2)
    with pytest.raises(BagError, match='exists already'), BagWriter(path):
        pass
    with BagWriter(path, overwrite=True) as bag:
        bag.write_image(TOPIC, ramp(3, 4), stamp_ns=1)
    with BagReader(path) as bag:
        assert bag.message_count == 1
    notes = tmp_path / 'notes'
    notes.mkdir()
    with pytest.raises(BagError, match='is not a bag'), BagWriter(notes, overwrite=True):
        pass
    assert notes.is_dir()
