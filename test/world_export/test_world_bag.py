# SPDX-License-Identifier: Apache-2.0
"""A drive as a recording: topics, types, stamps, and transforms that compose to the true pose."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.bags import BagReader, BagWriter
from kd_perception.world_export import bag
from kd_perception.world_export.plan import ExportPlan


@pytest.fixture
def recording(frame_at, tmp_path):
    with BagWriter(tmp_path / 'drive') as writer:
        for index in range(3):
            stamp_ns = bag.stamp_ns(index, 10.0)
            bag.write_frame(writer, frame_at(index / 10), stamp_ns, encoding='16UC1')
    return tmp_path / 'drive'


def test_images_are_those_of_the_frames(recording, frame_at):
    with BagReader(recording) as source:
        topics = (bag.IMAGE_TOPIC, bag.LABEL_TOPIC, bag.COLOR_TOPIC, bag.DEPTH_TOPIC)
        images = {topic: list(source.frames(topic)) for topic in topics}
        infos = {
            topic: [message.deserialize() for message in source.messages([topic])]
            for topic in (bag.CAMERA_INFO_TOPIC, bag.COLOR_INFO_TOPIC)
        }
        assert source.failure_count == 0
    encodings = [images[topic][0].encoding for topic in topics]
    assert encodings == ['16UC1', 'mono8', 'rgb8', '32FC1']
    for index in range(3):
        frame = frame_at(index / 10)
        np.testing.assert_array_equal(images[bag.IMAGE_TOPIC][index].image, frame.thermal)
        np.testing.assert_array_equal(images[bag.LABEL_TOPIC][index].image, frame.label)
        np.testing.assert_array_equal(images[bag.COLOR_TOPIC][index].image, frame.rgb)
        depth = images[bag.DEPTH_TOPIC][index].image
        unknown = frame.sky | (frame.depth_m >= 80)
        np.testing.assert_array_equal(np.isnan(depth), unknown)
        np.testing.assert_array_equal(depth[~unknown], frame.depth_m[~unknown])
        assert len({images[topic][index].stamp_ns for topic in topics}) == 1
        assert {images[topic][index].frame_id for topic in topics} == {bag.CAMERA_FRAME}
        for info in infos.values():
            np.testing.assert_array_equal(info[index].k.reshape(3, 3), frame.camera_matrix)
    stamps = [image.stamp_ns for image in images[bag.IMAGE_TOPIC]]
    assert np.diff(stamps).tolist() == [100_000_000] * 2


def matrix(transform):
    """The matrix of a geometry_msgs/Transform."""
    q, t = transform.rotation, transform.translation
    w, u = q.w, np.array([q.x, q.y, q.z])
    cross = np.array([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    result = np.eye(4)
    result[:3, :3] = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    result[:3, 3] = t.x, t.y, t.z
    return result


def test_transforms_compose_to_the_pose_of_the_camera(recording, frame_at):
    with BagReader(recording) as source:
        messages = [message.deserialize() for message in source.messages([bag.TF_TOPIC])]
    assert len(messages) == 3
    pairs = [(t.header.frame_id, t.child_frame_id) for t in messages[1].transforms]
    assert pairs == [('map', 'base_link'), ('base_link', 'thermal_optical_frame')]
    # The map has x ahead, y left and z up where the world has z ahead, x right and y down.
    world_from_map = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    for index, message in enumerate(messages):
        body, camera = (matrix(t.transform) for t in message.transforms)
        expected = frame_at(index / 10).camera_pose
        np.testing.assert_allclose(world_from_map @ body @ camera, expected, atol=1e-6)
        stamp = message.transforms[0].header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == bag.stamp_ns(index, 10.0)


def test_the_way_ahead_is_along_x_and_up_is_z(recording):
    with BagReader(recording) as source:
        bodies = [m.deserialize().transforms[0].transform for m in source.messages([bag.TF_TOPIC])]
    way = [body.translation.x for body in bodies]
    assert way == sorted(way)
    assert way[2] - way[0] == pytest.approx(20 * np.sin(0.06), abs=1e-6)
    assert bodies[0].translation.z == pytest.approx(1.5)


def test_jobs_are_one_drive_of_the_test_split(tmp_path):
    jobs = bag.LAYOUT.jobs(ExportPlan('bag', tmp_path, {'test': 4}, rate_hz=5.0))
    assert [job.time_s for job in jobs] == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert len({job.seed for job in jobs}) == 1
