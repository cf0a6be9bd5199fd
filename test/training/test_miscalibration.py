# SPDX-License-Identifier: Apache-2.0
"""Faults of calibration: what moves where, against hand numbers."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.miscalibration import (
    miscalibrated_lidar,
    perturbed_pose,
    rotation_matrix,
)

MATRIX = np.array([[50.0, 0.0, 20.0], [0.0, 50.0, 10.0], [0.0, 0.0, 1.0]])


def lidar(*returns):
    image = np.zeros((21, 41), np.float32)
    for row, column, depth_m in returns:
        image[row, column] = depth_m
    return image


def moved(image, rotation_deg=(0.0, 0.0, 0.0), shift_m=(0.0, 0.0, 0.0)):
    found = miscalibrated_lidar(image, MATRIX, rotation_deg=rotation_deg, shift_m=shift_m)
    assert found.shape == image.shape and found.dtype == image.dtype
    return {(r, c): float(found[r, c]) for r, c in zip(*np.nonzero(found), strict=True)}


def test_no_fault_moves_nothing():
    rng = np.random.default_rng(0)
    image = np.where(rng.random((21, 41)) < 0.3, rng.uniform(1, 60, (21, 41)), 0.0)
    found = miscalibrated_lidar(
        image, MATRIX, rotation_deg=(0.0, 0.0, 0.0), shift_m=(0.0, 0.0, 0.0)
    )
    np.testing.assert_allclose(found, image, rtol=1e-12)


def test_a_shift_moves_near_returns_further():
    """0.4 m to the right: 50 * 0.4 / depth columns."""
    assert moved(lidar((4, 10, 5.0), (8, 10, 20.0)), shift_m=(0.4, 0.0, 0.0)) == {
        (4, 14): 5.0,
        (8, 11): 20.0,
    }


def test_a_shift_forward_changes_depth_and_spreads_returns():
    assert moved(lidar((10, 30, 10.0)), shift_m=(0.0, 0.0, -5.0)) == {(10, 40): 5.0}


def test_a_turn_about_down_moves_all_returns_alike():
    """tan(5.71059 degrees) = 0.1: five columns at the center; depth is along the new axis."""
    found = moved(lidar((10, 20, 30.0)), rotation_deg=(0.0, 5.71059, 0.0))
    assert list(found) == [(10, 25)]
    assert found[10, 25] == pytest.approx(30.0 * np.cos(np.deg2rad(5.71059)), rel=1e-6)


def test_the_closest_wins_and_the_lost_are_lost():
    image = lidar((10, 14, 10.0), (10, 16, 50.0), (3, 39, 5.0))
    # 1 m: 5 columns at 10 m, 1 at 50 m, 10 at 5 m: 14 + 5 = 19, 16 + 1 = 17, 39 + 10 is outside
    assert moved(image, shift_m=(1.0, 0.0, 0.0)) == {(10, 19): 10.0, (10, 17): 50.0}
    image = lidar((10, 14, 10.0), (10, 18, 50.0))
    assert moved(image, shift_m=(1.0, 0.0, 0.0)) == {(10, 19): 10.0}
    assert moved(lidar((10, 20, 3.0)), shift_m=(0.0, 0.0, -4.0)) == {}


def test_pose_errors_have_the_deviations_that_were_asked_for():
    pose = np.eye(4)
    pose[:3, 3] = (0.0, 0.0, 2.0)
    rng = np.random.default_rng(0)
    wrong = [perturbed_pose(pose, rng, rotation_deg=2.0, shift_share=0.1) for _ in range(800)]
    shifts = np.array([found[:3, 3] - pose[:3, 3] for found in wrong])
    assert shifts.std() == pytest.approx(0.2, rel=0.05)
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(found[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
        for found in wrong
    ]
    # The norm of three components of deviation 2: its mean square is 12.
    assert np.mean(np.square(angles)) == pytest.approx(12.0, rel=0.1)
    np.testing.assert_array_equal(pose[:3, 3], (0.0, 0.0, 2.0))


def test_rotation_matrix_turns_about_its_axis():
    np.testing.assert_allclose(
        rotation_matrix([0.0, 0.0, 90.0]) @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12
    )
