# SPDX-License-Identifier: Apache-2.0
"""How cameras stand to each other in mutual distillation: known poses, or learnt ones."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.models import Motion
from training.losses import SourceView
from training.poses import inverse_pose, pose_from_motion
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import DepthBatch

_VIDEO = ('previous', 'next')


def frame_pairs(batch: DepthBatch, config: MutualConfig) -> Tensor:
    """Both pairs of neighboring frames in the order of time, [batch, 2, 6, height, width]."""
    previous, following = (batch.sources[:, config.sources.index(name)] for name in _VIDEO)
    orders = ((previous, batch.image), (batch.image, following))
    return torch.stack([torch.cat(pair, dim=1) for pair in orders], dim=1)


def source_views(
    batch: DepthBatch, motions: Motion | None, config: MutualConfig
) -> dict[str, SourceView]:
    """All other views by name, with known or learnt poses.

    A pose network that sees mirrored images gives mirrored motions, while points keep the frame of
    the camera as it was (see `training.data.augmentation.joint`): its poses are mirrored back.
    """
    poses = {name: batch.poses[:, k] for k, name in enumerate(config.sources)}
    if motions is not None:
        later = pose_from_motion(
            motions.axis_angle[:, 0].float(), motions.translation[:, 0].float()
        )
        later = later.reshape(-1, len(_VIDEO), 4, 4)
        later = mirrored_back(later, batch.camera_matrix[:, 0, 0] < 0.0)
        poses |= {'previous': inverse_pose(later[:, 0]), 'next': later[:, 1]}
    return {
        name: SourceView(batch.sources[:, k], poses[name]) for k, name in enumerate(config.sources)
    }


def mirrored_back(poses: Tensor, mirrored: Tensor) -> Tensor:
    """Poses [batch, pairs, 4, 4] of mirrored images, bool [batch], as those of the camera."""
    flip = torch.diag(poses.new_tensor([-1.0, 1.0, 1.0, 1.0]))
    return torch.where(mirrored[:, None, None, None], flip @ poses @ flip, poses)
