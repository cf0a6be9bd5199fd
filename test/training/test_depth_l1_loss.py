# SPDX-License-Identifier: Apache-2.0
"""Supervised depth: only what was measured counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, mean_over_images, row
from hypothesis import given
from loss_properties import check_half_precision, check_only_the_student_learns

from kd_perception.errors import ShapeError
from training.losses import depth_l1_loss


def test_worked_example():
    valid = torch.tensor([[[[True, False, True]]]])
    loss = depth_l1_loss(row(2.0, 9.0, 5.0), row(3.0, float('nan'), 2.0), valid)
    assert loss.item() == 2.0


@given(drawn_maps())
def test_loss_is_the_formula(drawn):
    depth_m, _, target_m, valid = drawn
    loss = depth_l1_loss(depth_m, target_m, valid)
    error = np.abs(depth_m.numpy() - np.where(valid, target_m, 0.0))
    assert loss.item() == pytest.approx(mean_over_images(error, valid), rel=1e-12)
    assert depth_l1_loss(target_m, target_m, valid).item() == 0.0


@given(drawn_maps())
def test_gradient_is_the_sign_over_the_number_of_covered_pixels(drawn):
    depth_m, _, target_m, valid = drawn
    (gradient,) = gradients(lambda d: depth_l1_loss(d, target_m, valid), depth_m)
    count = valid.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    sign = torch.where(valid, torch.sign(depth_m - target_m), 0.0)
    torch.testing.assert_close(gradient, sign / count / len(valid), rtol=1e-12, atol=0.0)


def test_only_depth_learns_in_any_precision():
    depth_m, _, target_m, valid = maps(2, 6, 7)
    target_m = torch.nan_to_num(target_m, posinf=0.0)

    def loss(a, b):
        return depth_l1_loss(a, b, valid)

    check_only_the_student_learns(loss, depth_m, target_m)
    check_half_precision(loss, depth_m, target_m)


def test_nothing_measured_teaches_nothing():
    depth_m, _, target_m, _ = maps(2, 3, 4, share=0.0)
    nothing = torch.zeros_like(depth_m, dtype=torch.bool)
    assert depth_l1_loss(depth_m, target_m, nothing).item() == 0.0
    (gradient,) = gradients(lambda d: depth_l1_loss(d, target_m, nothing), depth_m)
    assert (gradient == 0.0).all()


def test_wrong_shapes_and_masks_are_named():
    depth_m, _, target_m, valid = maps(2, 3, 4)
    with pytest.raises(ShapeError, match='depth_m must be of shape'):
        depth_l1_loss(depth_m[:, 0], target_m, valid)
    with pytest.raises(ShapeError, match='target_m must be of shape'):
        depth_l1_loss(depth_m, target_m[:1], valid)
    with pytest.raises(ShapeError, match='valid must be of shape'):
        depth_l1_loss(depth_m, target_m, valid[..., :2])
    with pytest.raises(ShapeError, match=r'valid must be bool, received torch\.float32'):
        depth_l1_loss(depth_m, target_m, valid.float())
