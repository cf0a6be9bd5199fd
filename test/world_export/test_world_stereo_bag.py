# SPDX-License-Identifier: Apache-2.0
"""A drive with two color cameras and a lidar: the parts fit together as ROS has them."""

from __future__ import annotations

import numpy as np
import pytest
from test_world_bag import matrix

from kd_perception.bags import BagReader, BagWriter
from kd_perception.world_export import bag, stereo_bag
from kd_perception.world_export.plan import ExportPlan

STAMP_NS = bag.stamp_ns(2, 10.0)


@pytest.fixture
def recording(frame_at, tmp_path):
    frame = frame_at(0.2)
    with BagWriter(tmp_path / 'drive') as writer:
        stereo_bag.write_mounting(writer, frame.baseline_m, STAMP_NS)
        stereo_bag.write_frame(writer, frame, STAMP_NS)
    return tmp_path / 'drive'


def message_of(recording, topic):
    with BagReader(recording) as source:
        (message,) = (m.deserialize() for m in source.messages([topic]))
    return message


def test_images_are_those_of_the_frame(recording, frame_at):
    frame = frame_at(0.2)
    with BagReader(recording) as source:
        images = {
            topic: next(source.frames(topic))
            for topic in (stereo_bag.LEFT_TOPIC, stereo_bag.RIGHT_TOPIC, stereo_bag.DEPTH_TOPIC)
        }
    left, right, depth = images.values()
    np.testing.assert_array_equal(left.image, frame.rgb)
    np.testing.assert_array_equal(right.image, frame.right)
    known = ~frame.sky & (frame.depth_m < 80)
    np.testing.assert_array_equal(np.isfinite(depth.image), known)
    np.testing.assert_array_equal(depth.image[known], frame.depth_m[known])
    assert {image.stamp_ns for image in images.values()} == {STAMP_NS}
    assert right.frame_id == stereo_bag.RIGHT_FRAME != left.frame_id == depth.frame_id


def mounting(recording):
    transforms = message_of(recording, stereo_bag.TF_STATIC_TOPIC).transforms
    assert {t.header.frame_id for t in transforms} == {stereo_bag.BODY_FRAME}
    return {t.child_frame_id: matrix(t.transform) for t in transforms}


def test_the_right_camera_projects_with_its_distance(recording, frame_at):
    """A point 10 m ahead lies left of where the left camera has it, by focal * baseline / 10."""
    frame = frame_at(0.2)
    left, right = (
        message_of(recording, topic).p.reshape(3, 4)
        for topic in (stereo_bag.LEFT_INFO_TOPIC, stereo_bag.RIGHT_INFO_TOPIC)
    )
    point = np.array([1.0, 0.5, 10.0, 1.0])
    disparity = (left @ point / 10.0 - right @ point / 10.0)[0]
    focal_px = frame.camera_matrix[0, 0]
    assert disparity == pytest.approx(focal_px * frame.baseline_m / 10.0)
    poses = mounting(recording)
    moved = np.linalg.inv(poses[stereo_bag.RIGHT_FRAME]) @ poses[stereo_bag.LEFT_FRAME]
    expected = np.eye(4)
    expected[0, 3] = -frame.baseline_m
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_points_fall_onto_the_pixels_that_the_lidar_hits(recording, frame_at):
    frame = frame_at(0.2)
    cloud = message_of(recording, stereo_bag.POINTS_TOPIC)
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'intensity']
    assert [field.offset for field in cloud.fields] == [0, 4, 8, 12]
    assert cloud.header.frame_id == stereo_bag.LIDAR_FRAME
    points = np.frombuffer(cloud.data.tobytes(), '<f4').reshape(cloud.width, 4)
    assert len(points) == np.count_nonzero(frame.lidar_m) > 50
    poses = mounting(recording)
    camera_from_lidar = np.linalg.inv(poses[stereo_bag.LEFT_FRAME]) @ poses[stereo_bag.LIDAR_FRAME]
    assert camera_from_lidar[:3, 3] == pytest.approx([0.0, -0.08, -0.27])
    seen = camera_from_lidar[:3, :3] @ points[:, :3].T + camera_from_lidar[:3, 3:]
    columns, rows = np.rint((frame.camera_matrix @ (seen / seen[2]))[:2]).astype(int)
    np.testing.assert_allclose(frame.lidar_m[rows, columns], seen[2], rtol=1e-4)


def test_jobs_are_the_drive_of_the_other_recording_with_other_views(tmp_path):
    plan = ExportPlan('stereo_bag', tmp_path, {'test': 3}, rate_hz=5.0)
    jobs = stereo_bag.LAYOUT.jobs(plan)
    others = bag.LAYOUT.jobs(plan)
    assert [(j.seed, j.time_s) for j in jobs] == [(j.seed, j.time_s) for j in others]
    assert {job.views for job in jobs} == {('rgb', 'right', 'lidar')}
