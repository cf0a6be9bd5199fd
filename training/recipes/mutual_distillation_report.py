# SPDX-License-Identifier: Apache-2.0
"""Scores and pictures of the branches of mutual distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kd_perception.metrics import depth_from_inverse, resized
from kd_perception.models.monodepth_unet import MonodepthUNet
from training.depth_evaluation import (
    Predict,
    Prediction,
    Scored,
    network_size_image,
    score_depth,
)
from training.depth_pictures import depth_picture, error_picture, sigma_picture
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_networks import MutualNetwork

Array = npt.NDArray[Any]

COLUMNS = ('abs_rel', 'rmse', 'delta1')
"""Metrics of a row, all over all pixels."""

REGIONS = ('inside', 'outside', 'glass', 'objects')
"""Parts of the frame whose relative error is in a row."""

_SHOWN = 4


def predictor(branch: MonodepthUNet, image_size: tuple[int, int]) -> Predict:
    """What a branch in evaluation mode says about a frame with an image of any size.

    Args:
        branch: of a trained network.
        image_size: (height, width) that it was trained with.
    """
    device = next(branch.parameters()).device
    far, near = 1.0 / branch.config.max_depth_m, 1.0 / branch.config.min_depth_m

    @torch.no_grad()
    def predict(frame: Scored) -> Prediction:
        image = torch.from_numpy(network_size_image(frame.rgb, image_size)).to(device)
        output = branch(image)
        disparity, log_sigma = (
            maps[0][0, 0].float().cpu() for maps in (output.disparities, output.log_sigmas)
        )
        return Prediction((far + (near - far) * disparity).numpy(), log_sigma.exp().numpy())

    return predict


def evaluate(
    network: MutualNetwork, config: MutualConfig, splits: Mapping[str, Sequence[Scored]]
) -> dict[str, Any]:
    """Scores of every branch on all splits, by the name of the branch.

    Args:
        network: whose weights are tested; put in evaluation mode, on the CPU.
        config: of the run.
        splits: as `scored_frames` gives them.
    """
    network.eval().cpu()
    report: dict[str, Any] = {}
    for name, own, branch in zip(
        config.branch_names, config.branches, network.branches, strict=True
    ):
        assert isinstance(branch, MonodepthUNet)
        predict = predictor(branch, config.image_size)
        report[name] = {
            split: score_depth(
                predict, frames, config.protocol_of(split), with_sigma=own.uncertainty != 'none'
            )
            for split, frames in splits.items()
        }
    return report


def show(
    network: MutualNetwork, config: MutualConfig, frames: Sequence[Scored]
) -> dict[str, Array]:
    """Some frames as pictures, by frame.

    Args:
        network: in evaluation mode.
        config: of the run.
        frames: with ground truth; the first ones are shown.

    Returns:
        uint8 [rows * height, 4 * width, 3]: image, depth, nothing and nothing; below it for each
        branch image, depth, sigma, error, in this order.
    """
    pictures = {}
    predicts = [
        predictor(branch, config.image_size)
        for branch in network.branches
        if isinstance(branch, MonodepthUNet)
    ]
    for index in range(min(_SHOWN, len(frames))):
        frame = frames[index]
        empty = np.zeros_like(frame.rgb)
        rows = [[frame.rgb, depth_picture(frame.target_m), empty, empty]]
        for predict in predicts:
            found, size = predict(frame), frame.target_m.shape
            depth_m = depth_from_inverse(found.inverse_depth, size)
            rows.append(
                [
                    frame.rgb,
                    depth_picture(depth_m),
                    sigma_picture(resized(found.sigma, size)),
                    error_picture(depth_m, frame.target_m),
                ]
            )
        pictures[f'frame {index}'] = np.vstack([np.hstack(row) for row in rows])
    return pictures


def table_row(name: str, metrics: Mapping[str, Any]) -> str:
    """One row of the table.

    Absolute relative error, RMSE [m] and delta1 of all pixels; relative error inside and outside
    of what lidar reaches, on glass and on objects; AUSE and AURG by relative error.

    Args:
        name: of run and branch.
        metrics: of one split, as `score_depth` gives them.
    """
    values = [metrics['all'].get(column) for column in COLUMNS]
    values += [metrics.get(region, {}).get('abs_rel') for region in REGIONS]
    areas = metrics.get('sparsification', {}).get('abs_rel', {})
    values += [areas.get('ause'), areas.get('aurg')]
    shown = ('-' if value is None else f'{value:.3f}' for value in values)
    return f'| {name} | ' + ' | '.join(shown) + ' |'
