# SPDX-License-Identifier: Apache-2.0
"""Scores of a fast depth student, through the robot's own preprocessing and postprocessing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from kd_perception.bundle_depth import DepthSpec
from kd_perception.depth_postprocessing import DepthLimits, depth_from_log_maps, relative_log_maps
from kd_perception.metrics import DEPTH_PROTOCOLS
from kd_perception.preprocessing import color_network_input
from training.depth_evaluation import Predict, Prediction, SigmaErrors, score_depth
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.compress_depth_data import scored_frames
from training.recipes.mutual_distillation_frames import ScoredFrame
from training.sigma_calibration import (
    before_and_after,
    confidence_quality,
    fit_confidence_scale,
    fit_sigma_scale,
    sigma_quality,
)

_EVERYTHING = DepthLimits(0.0, float('inf'))


def depth_spec(config: CompressDepthConfig, **calibration: Any) -> DepthSpec:
    """What the maps of the student of a run mean."""
    return DepthSpec(
        focal_px=config.focal_px,
        min_depth_m=config.min_depth_m,
        max_depth_m=config.max_depth_m,
        metric=is_metric(config),
        **calibration,
    )


def is_metric(config: CompressDepthConfig) -> bool:
    """Whether anything told the student, or its teacher, how long a meter is."""
    if config.label_weight:
        return True
    run = config.teacher.run()
    measured = any(branch.measured for branch in run.branches)
    posed = 'right' in run.sources or (run.uses_video and not run.learns_poses)
    return measured or posed


def predictor(network: nn.Module, config: CompressDepthConfig) -> Predict:
    """What the node would tell of a frame of a camera of known focal length.

    Args:
        network: in eval mode, on the CPU; folded or not.
        config: of its run.
    """
    spec = depth_spec(config)

    @torch.no_grad()
    def predict(frame: ScoredFrame) -> Prediction:
        assert frame.camera_matrix is not None
        tensor, box = color_network_input(frame.rgb, config.image_size)
        maps = network(torch.from_numpy(tensor)).numpy()
        focal_px = frame.camera_matrix[0, 0] * box.content_size[1] / frame.rgb.shape[1]
        scale = float(focal_px / config.focal_px)
        found = depth_from_log_maps(
            relative_log_maps(maps, spec),
            box,
            scale=scale,
            sigma_scale=1.0,
            confidence_scale=1.0,
            limits=_EVERYTHING,
            size=frame.target_m.shape,
            with_confidence=False,
        )
        assert found.sigma is not None
        told_m = (config.min_depth_m * scale, config.max_depth_m * scale)
        return Prediction(np.float32(1.0) / found.depth, found.sigma, told_m)

    return predict


def evaluate(network: nn.Module, config: CompressDepthConfig) -> dict[str, Any]:
    """Scores by split, and the factors of sigma that the validation split asks for.

    Args:
        network: in eval mode, on the CPU.
        config: of its run.

    Returns:
        What `score_depth` gives by name of the split, with `sigma` and `confidence`:
        `sigma_quality` and `confidence_quality` before and after calibration, over the pixels
        whose depth the node tells as a finite one, and `told_share`, the share of these; and
        `sigma_scale` and `confidence_scale`.
    """
    predict, protocol = predictor(network, config), DEPTH_PROTOCOLS['world']
    report: dict[str, Any] = {}
    scale = confidence_scale = 1.0
    for name, frames in scored_frames(config).items():
        errors = SigmaErrors(protocol)
        report[name] = score_depth(predict, frames, protocol, sigma_errors=errors)
        pixels = errors.pixels()
        if name == 'validation':
            scale, confidence_scale = fit_sigma_scale(pixels), fit_confidence_scale(pixels)
        report[name]['told_share'] = round(errors.told_share, 5)
        report[name]['sigma'] = before_and_after(sigma_quality, pixels, scale)
        report[name]['confidence'] = before_and_after(confidence_quality, pixels, confidence_scale)
    scales = {'sigma_scale': scale, 'confidence_scale': confidence_scale}
    return report | {name: round(value, 5) for name, value in scales.items()}
