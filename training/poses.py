# SPDX-License-Identifier: Apache-2.0
"""Rigid poses [batch, 4, 4], named `b_from_a`: they take points of frame a to frame b."""

from __future__ import annotations

import torch
from torch import Tensor

from training.tensor_checks import at_least_float32, check_shape


def inverse_pose(pose: Tensor) -> Tensor:
    """The rigid pose back, `a_from_b` of `b_from_a`, [batch, 4, 4]."""
    check_shape('pose', pose, (None, 4, 4))
    rotation = pose[:, :3, :3].transpose(1, 2)
    shift = -(rotation * pose[:, None, :3, 3]).sum(-1, keepdim=True)
    return torch.cat([torch.cat([rotation, shift], 2), pose[:, 3:]], 1)


def pose_from_motion(axis_angle: Tensor, translation_m: Tensor) -> Tensor:
    """Poses from what a pose network predicts, [batch, 4, 4].

    Args:
        axis_angle: rotation axis times angle in radians, [batch, 3]; gradients exist at zero.
        translation_m: added after the rotation, [batch, 3].

    Raises:
        ShapeError: shapes other than these.
    """
    check_shape('axis_angle', axis_angle, (None, 3))
    check_shape('translation_m', translation_m, (axis_angle.shape[0], 3))
    x, y, z = at_least_float32(axis_angle).unbind(1)
    o = torch.zeros_like(x)
    skew = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    with torch.autocast(skew.device.type, enabled=False):
        rotation = torch.linalg.matrix_exp(skew)
    upper = torch.cat([rotation, translation_m.to(rotation.dtype)[..., None]], 2)
    return torch.cat([upper, upper.new_tensor([0, 0, 0, 1]).expand(len(upper), 1, 4)], 1)


def stereo_pose(baseline_m: Tensor) -> Tensor:
    """Pose of a rectified pair, `right_from_left` [batch, 4, 4], of baselines [batch] in meters.

    A mirrored pair keeps its pose where the intrinsic matrix was mirrored with the image (its
    first focal length is negative then, see `training.data.augmentation.joint`); else negate.
    """
    check_shape('baseline_m', baseline_m, (None,))
    pose = torch.eye(4, dtype=baseline_m.dtype, device=baseline_m.device)
    pose = pose.repeat(len(baseline_m), 1, 1)
    pose[:, 0, 3] = -baseline_m
    return pose
