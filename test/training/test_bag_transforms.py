# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording against each other: chains, motion in time, what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import ConfigError
from kd_perception.world_export import stereo_bag
from kd_perception.world_export.bag import transform
from training.data.bag_transforms import Transforms, interpolated, matrix_of_transform
from training.data.miscalibration import rotation_matrix

S = 1_000_000_000

angles = st.floats(-170.0, 170.0)
shifts = st.floats(-5.0, 5.0)


def pose_of(turn_deg, shift):
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(turn_deg)
    pose[:3, 3] = shift
    return pose


@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_a_message_gives_back_its_matrix(turn_deg, shift):
    pose = pose_of(turn_deg, shift)
    found = matrix_of_transform(transform('a', 'b', pose, 0).transform)
    np.testing.assert_allclose(found, pose, atol=1e-6)


CAMERA = pose_of((90.0, 0.0, 0.0), (0.5, 0.0, 1.0))
LIDAR = pose_of((0.0, 0.0, 10.0), (0.0, 0.2, 1.5))


def mounted(moves_lidar=False):
    """Two sensors on a base that drives along x at 2 m/s and turns by 10 degrees per second."""
    messages = [transform('base', 'camera', CAMERA, 0), transform('base', '/lidar', LIDAR, 0)]
    for second in range(3):
        base = pose_of((0.0, 0.0, 10.0 * second), (2.0 * second, 0.0, 0.0))
        messages.append(transform('odom', 'base', base, (10 + second) * S))
    if moves_lidar:
        messages.append(transform('base', 'lidar', np.eye(4), 11 * S))
    return Transforms(messages)


def test_sensors_stand_to_each_other_through_what_they_share():
    point = np.array([3.0, -1.0, 2.0, 1.0])
    found = mounted().fixed('camera', 'lidar') @ point
    np.testing.assert_allclose(CAMERA @ found, LIDAR @ point, atol=1e-9)  # both in the base
    np.testing.assert_allclose(mounted().fixed('base', 'lidar'), LIDAR, atol=1e-9)
    np.testing.assert_allclose(mounted().fixed('lidar', 'lidar'), np.eye(4), atol=1e-9)


def test_motion_is_interpolated_between_messages_and_unknown_beyond():
    tree = mounted()
    np.testing.assert_allclose(
        tree.moving('odom', 'camera', 11 * S),
        pose_of((0.0, 0.0, 10.0), (2.0, 0.0, 0.0)) @ CAMERA,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        tree.moving('odom', 'camera', 11 * S + S // 4),
        pose_of((0.0, 0.0, 12.5), (2.5, 0.0, 0.0)) @ CAMERA,
        atol=1e-9,
    )
    assert tree.moving('odom', 'camera', 10 * S - 1) is None
    assert tree.moving('odom', 'camera', 12 * S + 1) is None


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ConfigError, match="must connect 'camera' with 'radar'"):
        mounted().fixed('camera', 'radar')
    with pytest.raises(ConfigError, match="'lidar' moves in 'base'"):
        mounted(moves_lidar=True).fixed('camera', 'lidar')
    with pytest.raises(ConfigError, match="'base' moves in 'odom'"):
        mounted().fixed('odom', 'lidar')
    with pytest.raises(ConfigError, match="must have 'map' above 'camera'"):
        mounted().moving('map', 'camera', 0)


@given(st.tuples(angles, angles, angles), st.floats(0.0, 1.0))
def test_interpolation_reaches_both_ends_and_stays_rigid(turn_deg, share):
    first, second = pose_of((5.0, 0.0, 0.0), (1.0, 2.0, 3.0)), pose_of(turn_deg, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(interpolated(first, second, 0.0), first, atol=1e-6)
    np.testing.assert_allclose(interpolated(first, second, 1.0), second, atol=1e-6)
    rotation = interpolated(first, second, share)[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_all_messages_of_a_recording_count(tmp_path):
    with BagWriter(tmp_path / 'drive') as bag:
        stereo_bag.write_mounting(bag, 0.5, S)
    with BagReader(tmp_path / 'drive') as bag:
        pose = Transforms.of_bag(bag).fixed('right_optical_frame', 'left_optical_frame')
    expected = np.eye(4)
    expected[0, 3] = -0.5
    np.testing.assert_allclose(pose, expected, atol=1e-12)
