# SPDX-License-Identifier: Apache-2.0
"""A recording with two cameras and a lidar as training data for depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_bags import cut_image

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import BagError, ConfigError
from kd_perception.world_export import stereo_bag
from kd_perception.world_export.export import export_world
from kd_perception.world_export.plan import ExportPlan
from kd_perception.world_export.rendering import rendered
from training.data import depth_bag
from training.data.depth_bag import load_depth_bag, nearest_rows
from training.data.depth_bag_config import DepthBagConfig

SIZE, COUNT, RATE_HZ = (64, 96), 10, 10.0
LEFT, RIGHT = stereo_bag.LEFT_TOPIC, stereo_bag.RIGHT_TOPIC
VIEWS = ('right', 'previous', 'next')


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
    out = tmp_path_factory.mktemp('bag') / 'drive'
    plan = ExportPlan('stereo_bag', out, {'test': COUNT}, image_size=SIZE, rate_hz=RATE_HZ)
    export_world(plan, workers=1)
    return plan


@pytest.fixture(scope='module')
def frames(plan):
    jobs = stereo_bag.LAYOUT.jobs(plan)
    return [rendered(plan.world_config('test'), job) for job in jobs]


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture
def config(plan):
    return DepthBagConfig(
        str(plan.out), LEFT, RIGHT, pose_frame='map', image_size=SIZE, held_out_share=0.0
    )


def test_frames_are_those_of_the_drive(config, cache, frames):
    data = load_depth_bag(config, cache, sources=VIEWS, measured=True)
    assert len(data) == COUNT - 2  # first and last have one neighbor
    for index, sample in enumerate(data, start=1):
        frame = frames[index]
        np.testing.assert_array_equal(sample.rgb, frame.rgb)
        np.testing.assert_array_equal(sample.right, frame.right)
        np.testing.assert_array_equal(sample.previous, frames[index - 1].rgb)
        np.testing.assert_array_equal(sample.next, frames[index + 1].rgb)
        np.testing.assert_allclose(sample.lidar_m, frame.lidar_m, rtol=1e-4)
        np.testing.assert_allclose(sample.camera_matrix, frame.camera_matrix)
        np.testing.assert_allclose(sample.poses['right'], frame.right_from_camera, atol=1e-9)
        for name, other in (('previous', index - 1), ('next', index + 1)):
            expected = np.linalg.inv(frames[other].camera_pose) @ frame.camera_pose
            np.testing.assert_allclose(sample.poses[name], expected, atol=1e-6)


def test_motions_are_not_known_without_a_frame_that_stands_still(config, cache):
    data = load_depth_bag(replace(config, pose_frame=''), cache, sources=('next',))
    assert len(data) == COUNT - 1
    assert data[0].poses == {} and data[0].right is None and data[0].previous is None


def test_a_smaller_size_takes_matrix_and_points_along(config, cache, frames):
    sample = load_depth_bag(replace(config, image_size=(32, 48)), cache)[0]
    assert sample.rgb.shape == (32, 48, 3)
    assert sample.camera_matrix[0, 0] == pytest.approx(frames[0].camera_matrix[0, 0] / 2)
    rows, columns = np.nonzero(sample.lidar_m)
    assert len(rows) > 20
    for row, column in zip(rows, columns, strict=True):
        area = frames[0].lidar_m[
            max(2 * row - 1, 0) : 2 * row + 3, max(2 * column - 1, 0) : 2 * column + 3
        ]
        assert np.abs(area - sample.lidar_m[row, column]).min() < 1e-2


def test_splits_follow_one_another_with_a_gap(config, cache):
    config = replace(config, held_out_share=0.8, interval_s=0.1, pose_frame='')
    stamps = {
        split: [sample.stamp_ns for sample in load_depth_bag(config, cache, split)]
        for split in ('train', 'validation', 'test')
    }
    start = depth_bag.load_depth_bag(replace(config, held_out_share=0.0), cache)[0].stamp_ns
    seconds = {k: [round((s - start) * 1e-9, 1) for s in v] for k, v in stamps.items()}
    # Ten frames, 0 to 0.9 s: bounds at 0.18 and 0.54 s, and 0.2 s later.
    assert seconds == {'train': [0.0, 0.1], 'validation': [0.4, 0.5], 'test': [0.8, 0.9]}


def test_strides_leave_frames_out_but_not_their_neighbors(config, cache, frames):
    data = load_depth_bag(replace(config, stride=3), cache, sources=('next',))
    assert [sample.stamp_ns for sample in data] == [
        sample.stamp_ns for sample in load_depth_bag(config, cache)
    ][0:9:3]
    np.testing.assert_array_equal(data[1].next, frames[4].rgb)


def test_an_extraction_that_was_interrupted_starts_again(config, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr('training.data.depth_bag_extraction.write_atomically', interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_depth_bag(config, tmp_path)
    assert len(load_depth_bag(config, tmp_path)) == COUNT
    with monkeypatch.context() as patch:
        patch.setattr(depth_bag, 'extract', interrupted)
        assert len(load_depth_bag(config, tmp_path)) == COUNT


def changed(plan, out, *, drop=(), cut=(), of=2):
    """The recording without some topics, with the image of one stamp cut off in others."""
    stamp_ns = stereo_bag.stamp_ns(of, RATE_HZ)
    with BagReader(plan.out) as source, BagWriter(out) as bag:
        for message in source.messages():
            if message.topic in drop:
                continue
            if message.topic in cut and message.log_time_ns == stamp_ns:
                cut_image(bag, message.topic, np.zeros((*SIZE, 3), np.uint8), stamp_ns)
            else:
                bag.write_raw(
                    message.topic, message.message_type, message.data,
                    log_time_ns=message.log_time_ns,
                )  # fmt: skip
    return str(out)


def test_a_damaged_image_costs_its_frame_alone(config, plan, tmp_path):
    own = replace(config, bag=changed(plan, tmp_path / 'cut', cut=(RIGHT,)))
    assert len(load_depth_bag(own, tmp_path / 'cache')) == COUNT
    data = load_depth_bag(own, tmp_path / 'cache', sources=('right',))
    assert len(data) == COUNT - 1
    assert f'{COUNT - 1} with right' in data.report and RIGHT in data.report
    own = replace(config, bag=changed(plan, tmp_path / 'left', cut=(LEFT,)))
    data = load_depth_bag(own, tmp_path / 'cache', sources=('previous', 'next'))
    assert len(data) == COUNT - 2 - 3


def test_video_alone(config, plan, tmp_path):
    drop = (RIGHT, stereo_bag.POINTS_TOPIC, stereo_bag.DEPTH_TOPIC, '/tf', '/tf_static')
    own = replace(
        config, bag=changed(plan, tmp_path / 'video', drop=drop), left_topic='', right_topic='',
        pose_frame='',
    )  # fmt: skip
    data = load_depth_bag(own, tmp_path / 'cache', sources=('previous', 'next'))
    assert len(data) == COUNT - 2 and data[0].lidar_m is None
    with pytest.raises(ConfigError, match='0 with lidar_m'):
        load_depth_bag(own, tmp_path / 'cache', measured=True)


def test_the_place_of_the_lidar_may_be_given(config, plan, tmp_path, cache):
    tf = ('/tf', '/tf_static')
    own = replace(
        config, bag=changed(plan, tmp_path / 'no_tf', drop=tf), pose_frame='',
        camera_from_lidar=(0, -1, 0, 0, 0, 0, -1, -0.08, 1, 0, 0, -0.27),
    )  # fmt: skip
    data = load_depth_bag(own, tmp_path / 'cache', measured=True)
    expected = load_depth_bag(config, cache, measured=True)
    np.testing.assert_allclose(data[3].lidar_m, expected[3].lidar_m, rtol=1e-5)
    with pytest.raises(ConfigError, match="must connect 'left_optical_frame' with 'lidar'"):
        load_depth_bag(replace(own, camera_from_lidar=()), tmp_path / 'cache')


@pytest.mark.parametrize(
    ('changes', 'error', 'told'),
    [
        ({'left_topic': ''}, BagError, 'Name the image topic'),
        ({'left_topic': '/none'}, BagError, '/none is not in'),
        ({'left_topic': stereo_bag.DEPTH_TOPIC}, ConfigError, 'Of 10 frames: 0 with rgb'),
        ({'right_topic': LEFT}, ConfigError, 'how far right'),
        ({'max_gb': 1e-9}, ConfigError, 'max_gb is 1e-09'),
        ({'pose_frame': 'odom'}, ConfigError, "must have 'odom' above 'left_optical_frame'"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(config, tmp_path, changes, error, told):
    with pytest.raises(error, match=told):
        load_depth_bag(replace(config, **changes), tmp_path)


def test_an_image_topic_without_calibration_is_refused(config, plan, tmp_path):
    path = changed(plan, tmp_path / 'bare', drop=(stereo_bag.LEFT_INFO_TOPIC,))
    with pytest.raises(ConfigError, match='calibration in /camera/left/camera_info'):
        load_depth_bag(replace(config, bag=path), tmp_path / 'cache')


@pytest.mark.parametrize(
    'values',
    [
        {'camera_from_lidar': (1.0, 2.0)}, {'max_gap_ms': -1.0}, {'interval_s': 0.0},
        {'stride': 0}, {'held_out_share': 1.0}, {'max_gb': 0.0}, {'image_size': (64,)},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError):
        DepthBagConfig('drive', **values)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=12, unique=True),
    st.integers(-9, 9).filter(bool),
    st.data(),
)
def test_nearest_rows_are_those_of_a_search(stamps, shift, data):
    stamps = np.array(sorted(stamps))
    there = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(stamps), max_size=len(stamps)))
    )
    found = nearest_rows(stamps, there, shift)
    for row, stamp in enumerate(stamps):
        gaps = {k: abs(stamps[k] - stamp - shift) for k in np.flatnonzero(there)}
        best = min(gaps.values(), default=99)
        if best > abs(shift) // 2:
            assert found[row] == -1
        else:
            assert gaps[found[row]] == best
