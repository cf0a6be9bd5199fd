# SPDX-License-Identifier: Apache-2.0
"""View synthesis: closed forms and shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from view_scenes import MATRIX, SIZE, plane, smooth_image

from kd_perception.errors import ConfigError, ShapeError
from training.geometry import (
    NEAR_M,
    back_project,
    pixel_grid,
    project,
    sample,
    transform_points,
    warp,
)
from training.poses import inverse_pose, pose_from_motion, stereo_pose


def shift_pose(x=0.0, y=0.0, z=0.0):
    return pose_from_motion(torch.zeros(1, 3), torch.tensor([[x, y, z]]))


def test_grid_counts_columns_then_rows_from_zero():
    grid = pixel_grid(3, 5)
    assert grid[:, 2, 4].tolist() == [4.0, 2.0, 1.0]
    assert grid[:, 0, 1].tolist() == [1.0, 0.0, 1.0]


def test_back_projection_has_the_depth_along_the_axis():
    points = back_project(plane(7.0), torch.linalg.inv(MATRIX))
    assert torch.allclose(points[:, 2], torch.tensor(7.0))
    # 16 columns right of the principal point at f = 40 px and 7 m.
    assert points[0, 0, 3, 39].item() == pytest.approx((39 - 23.5) / 40.0 * 7.0, abs=1e-5)
    assert points[0, 1, 31, 2].item() == pytest.approx((31 - 15.5) / 42.0 * 7.0, abs=1e-5)


@given(
    focal=st.floats(100.0, 1500.0), low=st.floats(0.5, 80.0), seed=st.integers(0, 1000),
    skew=st.floats(-5.0, 5.0), mirrored=st.booleans(),
)  # fmt: skip
def test_projection_undoes_back_projection(focal, low, seed, skew, mirrored):
    sign = -1.0 if mirrored else 1.0
    matrix = torch.tensor([[[sign * focal, skew, 320.0], [0, focal * 1.1, 200.0], [0, 0, 1.0]]])
    generator = torch.Generator().manual_seed(seed)
    depth_m = low * (1.0 + 5.0 * torch.rand(1, 1, 48, 640, generator=generator))
    pixels, seen_m = project(back_project(depth_m, torch.linalg.inv(matrix)), matrix)
    expected = pixel_grid(48, 640)[None, :2]
    assert (pixels - expected).abs().max() < 5e-4  # float32 holds 640 to 3e-5
    assert (pixels - expected).abs().mean() < 1e-4
    assert torch.equal(seen_m, depth_m)


def test_identity_pose_gives_the_image_back_everywhere():
    image = smooth_image((370, 1226))
    matrix = torch.tensor([[[707.0, 0, 601.9], [0, 707.0, 183.1], [0, 0, 1.0]]])
    for padding in ('zeros', 'border'):
        warped, valid = warp(
            image, plane(12.0, (370, 1226)), torch.eye(4)[None], matrix, padding=padding
        )
        assert valid.all()
        assert (warped - image).abs().max() < 1e-3


def test_sideways_motion_shifts_a_plane_by_its_disparity():
    image = smooth_image()
    # The source camera stands 0.5 m to the right: a plane at 5 m appears 40 * 0.5 / 5 = 4 px left.
    warped, valid = warp(image, plane(5.0), stereo_pose(torch.tensor([0.5])), MATRIX)
    assert torch.allclose(warped[..., 4:], image[..., :-4], atol=1e-4)
    assert valid[..., 4:].all()
    assert not valid[..., :4].any()
    down, _ = warp(image, plane(6.0), shift_pose(y=1.0), MATRIX)
    assert torch.allclose(down[..., :-7, :], image[..., 7:, :], atol=1e-4)


def test_forward_motion_magnifies_a_plane_about_the_principal_point():
    image = smooth_image(dtype=torch.float64)
    warped, valid = warp(image, plane(6.0).double(), shift_pose(z=-2.0).double(), MATRIX.double())
    x, y = pixel_grid(*SIZE, like=image)[:2]
    expected = torch.stack([23.5 + (x - 23.5) * 6.0 / 4.0, 15.5 + (y - 15.5) * 6.0 / 4.0])[None]
    assert torch.allclose(warped, sample(image, expected), atol=1e-9)
    inside = (expected >= 0).all(1) & (expected[:, 0] <= 47) & (expected[:, 1] <= 31)
    assert torch.equal(valid[:, 0], inside)


def test_points_behind_the_camera_or_without_depth_are_not_valid():
    image = smooth_image()
    _, valid = warp(image, plane(3.0), shift_pose(z=-3.0 - 2 * NEAR_M), MATRIX)
    assert not valid.any()
    depth_m = plane(3.0)
    depth_m[..., :10], depth_m[..., 10:12] = 0.0, float('nan')
    warped, valid = warp(image, depth_m, torch.eye(4)[None], MATRIX)
    assert not valid[..., :12].any()
    assert valid[..., 12:].all()
    assert torch.allclose(warped[..., 12:], image[..., 12:], atol=1e-4)


def test_padding_repeats_the_edge_or_fades_to_zero():
    image = torch.ones(1, 1, *SIZE)
    far = pixel_grid(*SIZE)[None, :2] - 100.0
    assert (sample(image, far, padding='border') == 1.0).all()
    assert (sample(image, far, padding='zeros') == 0.0).all()
    half = torch.tensor([-0.5, 3.0]).reshape(1, 2, 1, 1)
    assert sample(image, half, padding='zeros').item() == pytest.approx(0.5)


def test_source_of_another_size_and_matrix_is_looked_up_in_its_own_pixels():
    image = smooth_image((64, 96))
    double = MATRIX.clone()
    double[:, :2] *= 2.0
    warped, _ = warp(image, plane(5.0), torch.eye(4)[None], MATRIX, source_matrix=double)
    assert warped.shape == (1, 3, 32, 48)
    assert torch.allclose(warped, image[..., ::2, ::2], atol=1e-4)


def test_there_and_back_returns_every_point():
    points = back_project(plane(4.0), torch.linalg.inv(MATRIX))
    pose = pose_from_motion(torch.tensor([[0.1, -0.3, 0.2]]), torch.tensor([[1.0, 2.0, -0.5]]))
    there = transform_points(points, pose)
    assert not torch.allclose(there, points, atol=0.1)
    assert torch.allclose(transform_points(there, inverse_pose(pose)), points, atol=1e-5)


def test_autocast_does_not_coarsen_coordinates():
    image, depth_m = smooth_image((64, 1226)), plane(8.0, (64, 1226))
    matrix = torch.tensor([[[707.0, 0, 601.9], [0, 707.0, 30.0], [0, 0, 1.0]]])
    exact = warp(image, depth_m, shift_pose(x=0.4), matrix)
    with torch.autocast('cpu', torch.bfloat16):
        coarse = warp(image, depth_m.bfloat16(), shift_pose(x=0.4), matrix)
    assert torch.equal(coarse.valid, exact.valid)
    assert torch.allclose(coarse.image, exact.image, atol=1e-5)


def test_wrong_shapes_and_settings_are_named():
    image, eye = smooth_image(), torch.eye(4)[None]
    with pytest.raises(ShapeError, match='depth_m'):
        warp(image, torch.ones(1, *SIZE), eye, MATRIX)
    with pytest.raises(ShapeError, match=r'\[1, 4, 4\]'):
        warp(image, plane(1.0), torch.eye(4), MATRIX)
    with pytest.raises(ShapeError, match='received'):
        warp(image, plane(1.0), eye, MATRIX.repeat(2, 1, 1))
    with pytest.raises(ConfigError, match='reflection'):
        warp(image, plane(1.0), eye, MATRIX, padding='reflection')
