# SPDX-License-Identifier: Apache-2.0
"""Poses of a network and of a stereo pair: rotations, and their inverses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from training.poses import inverse_pose, pose_from_motion, stereo_pose


@given(axis_angle=st.tuples(*[st.floats(-2.0, 2.0)] * 3), shift=st.tuples(*[st.floats(-9, 9)] * 3))
def test_pose_is_a_rotation_and_its_inverse_undoes_it(axis_angle, shift):
    pose = pose_from_motion(
        torch.tensor([axis_angle], dtype=torch.float64), torch.tensor([shift]).double()
    )
    expected = cv2.Rodrigues(np.array(axis_angle))[0]
    np.testing.assert_allclose(pose[0, :3, :3].numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(pose[0, :3, 3].numpy(), shift, atol=1e-6)
    np.testing.assert_allclose((inverse_pose(pose) @ pose)[0].numpy(), np.eye(4), atol=1e-9)


def test_stereo_pose_takes_points_to_the_left_by_the_baseline():
    right_from_left = stereo_pose(torch.tensor([0.5, -0.2]))
    moved = right_from_left @ torch.tensor([3.0, 1.0, 7.0, 1.0])
    assert moved.tolist() == [[2.5, 1.0, 7.0, 1.0], pytest.approx([3.2, 1.0, 7.0, 1.0])]


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match='pose must'):
        inverse_pose(torch.eye(4))
    with pytest.raises(ShapeError, match='translation_m'):
        pose_from_motion(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match='baseline_m'):
        stereo_pose(torch.tensor(0.5))
