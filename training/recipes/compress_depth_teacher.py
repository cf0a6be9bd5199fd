# SPDX-License-Identifier: Apache-2.0
"""A branch of mutual distillation as the teacher of a fast depth student."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.data.depth_bag import load_depth_bag
from training.distributed import Fabric
from training.losses import at_full_size
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_losses import branch_maps
from training.recipes.mutual_distillation_trained import trained_network


class Taught(NamedTuple):
    """What a teacher says, [batch, 1, height, width].

    Attributes:
        depth_m: of a camera of `focal_px`.
        log_sigma: whose inverse exponential pixels may weigh by.
    """

    depth_m: Tensor
    log_sigma: Tensor


Teacher = Callable[[Tensor], Taught]


def load_teacher(config: CompressDepthConfig, fabric: Fabric) -> Teacher | None:
    """The teacher, which sees clean images at the size that it was trained with.

    Raises:
        ConfigError: it is not trained to its end, has no such branch, or its cameras had another
            shape of image or several focal lengths.
    """
    if not config.teacher.config:
        return None
    source = config.teacher.run()
    branch, meters = _branch(source, config)
    factor = focal_factor(source, config)
    part = trained_network(source).branches[branch].to(fabric.device)

    @torch.no_grad()
    def taught(image: Tensor) -> Taught:
        size = (image.shape[-2], image.shape[-1])
        small = functional.interpolate(image, source.image_size, mode='bilinear', antialias=True)
        with fabric.autocast():
            output = part(small)
        maps = branch_maps(output, source)
        relative = maps.log_sigma - maps.depth_m.log() if meters else maps.log_sigma
        log_depth, log_sigma = at_full_size([maps.depth_m.log(), relative], size)
        return Taught(factor * log_depth.exp(), log_sigma)

    return taught


def _branch(source: MutualConfig, config: CompressDepthConfig) -> tuple[int, bool]:
    """Number of the branch that teaches, and whether its sigma is one of meters."""
    name = config.teacher.branch or source.branch_names[0]
    if name not in source.branch_names:
        raise ConfigError(
            f'teacher.branch must be one of {list(source.branch_names)}, got {name!r}'
        )
    number = source.branch_names.index(name)
    if config.weighted and source.branches[number].uncertainty == 'none':
        raise ConfigError(f'{name} has learnt no uncertainty: set weighted to false')
    return number, source.branches[number].measured


def focal_factor(source: MutualConfig, config: CompressDepthConfig) -> float:
    """What the depth of a teacher is multiplied by to be that of a camera of `focal_px`.

    Raises:
        ConfigError: its images had another shape, or its cameras several focal lengths.
    """
    (height, width), (own_height, own_width) = source.image_size, config.image_size
    if abs(math.log(width * own_height / (height * own_width))) > 0.01:
        raise ConfigError(
            f'teacher and student must see images of one shape, got {source.image_size} and '
            f'{config.image_size}'
        )
    return config.focal_px / (focal_share(source) * own_width)


def focal_share(source: MutualConfig) -> float:
    """Focal length of the cameras of a run in widths of the image.

    Raises:
        ConfigError: its cameras had several, or it is not known.
    """
    if source.bag.bag:
        frame = load_depth_bag(source.bag, source.cache)[0]
        return float(frame.camera_matrix[0, 0]) / frame.rgb.shape[1]
    low, high = source.train.config().focal_share
    if not source.rendered or low != high:
        raise ConfigError(
            'a teacher must have learnt from a recording, or from rendered cameras of one focal '
            'length: set both numbers of focal_share of its train split alike'
        )
    return float(low)
