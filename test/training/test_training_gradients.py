# SPDX-License-Identifier: Apache-2.0
"""Gradients of view synthesis: right, finite, and good for finding depth and motion."""

from __future__ import annotations

import pytest
import torch
from view_scenes import MATRIX, plane, smooth_image

from training.geometry import warp
from training.poses import pose_from_motion, stereo_pose


def test_gradients_of_depth_motion_and_matrix_are_right():
    generator = torch.Generator().manual_seed(0)
    image = smooth_image((8, 10), 2, dtype=torch.float64)
    # Away from whole pixels, where bilinear look-up has a kink.
    depth_m = 4.0 + torch.rand(1, 1, 5, 6, dtype=torch.float64, generator=generator)
    motion = torch.tensor([[0.02, -0.03, 0.01]]).double()
    shift = torch.tensor([[0.11, 0.07, 0.31]]).double()
    matrix = torch.tensor([[[6.0, 0, 3.1], [0, 6.5, 2.2], [0, 0, 1.0]]]).double()

    def synthesize(image, depth_m, motion, shift, matrix):
        return warp(image, depth_m, pose_from_motion(motion, shift), matrix).image

    inputs = [x.requires_grad_() for x in (image, depth_m, motion, shift, matrix)]
    assert torch.autograd.gradcheck(synthesize, inputs)


def test_gradient_of_no_motion_and_of_unseen_points_is_finite():
    motion = torch.zeros(1, 3, requires_grad=True)
    shift = torch.tensor([[0.1, 0.0, -5.0]], requires_grad=True)
    depth_m = plane(5.0)
    depth_m[..., :20] = 0.0
    depth_m[..., 20:30] = 9.0
    depth_m.requires_grad_()
    warp(smooth_image(), depth_m, pose_from_motion(motion, shift), MATRIX).image.sum().backward()
    for leaf in (motion, shift, depth_m):
        assert torch.isfinite(leaf.grad).all()
    assert motion.grad.abs().sum() > 0.0
    assert depth_m.grad[..., 20:30].abs().sum() > 0.0


def test_descent_on_the_photometric_error_finds_depth_and_motion():
    left, truth = smooth_image(), 5.0
    right = warp(left, plane(truth), stereo_pose(torch.tensor([-0.5])), MATRIX).image
    guess = torch.tensor(6.5, requires_grad=True)
    shift = torch.tensor([[-0.3, 0.0, 0.0]], requires_grad=True)
    known = [
        (guess, lambda: (guess * plane(1.0), stereo_pose(torch.tensor([0.5]))), truth),
        (shift, lambda: (plane(truth), pose_from_motion(torch.zeros(1, 3), shift)), -0.5),
    ]
    for leaf, arguments, expected in known:
        optimizer = torch.optim.Adam([leaf], lr=0.02)
        for _ in range(250):
            image, valid = warp(right, *arguments(), MATRIX)
            loss = ((image - left).abs() * valid).sum() / valid.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert leaf.detach().reshape(-1)[0].item() == pytest.approx(expected, rel=0.03)
