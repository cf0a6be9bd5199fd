# SPDX-License-Identifier: Apache-2.0
"""The terms of mutual distillation; `training.recipes.mutual_distillation` lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kd_perception.models.monodepth_unet import MonodepthOutput
from training.disparity import depth_from_sigmoid
from training.losses import (
    Reprojection,
    SourceView,
    align_scale,
    at_full_size,
    depth_l1_loss,
    laplacian_nll_loss,
    multi_scale_reprojection,
    multi_scale_smoothness_loss,
    photometric_loss,
    uncertain_photometric_loss,
    uncertainty_weighted_distillation_loss,
    unprojected_point_loss,
)
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import DepthBatch
from training.recipes.mutual_distillation_motion import frame_pairs, source_views
from training.recipes.mutual_distillation_networks import MutualOutput
from training.recipes.mutual_distillation_terms import BranchConfig, DistillationConfig
from training.recipes.mutual_distillation_watch import Watched

LossTerms = dict[str, Tensor]


class Maps(NamedTuple):
    """What a branch says, in float32.

    Attributes:
        depth_m: at full size, [batch, 1, height, width].
        log_sigma: of the same shape.
        disparities: at all scales.
        log_sigmas: at all scales.
    """

    depth_m: Tensor
    log_sigma: Tensor
    disparities: tuple[Tensor, ...]
    log_sigmas: tuple[Tensor, ...]


def mutual_losses(
    network: Callable[..., MutualOutput],
    batch: DepthBatch,
    config: MutualConfig,
    watched: Watched | None = None,
    *,
    done: float = 1.0,
) -> LossTerms:
    """The terms of all branches in one step; nothing flows back to the depth that teaches.

    Args:
        network: a `MutualNetwork`.
        batch: as `Drawing` gives it.
        config: of the run.
        watched: gets what is no loss: scale ratios, shares of the photometric masks.
        done: share of the steps so far, 0 to 1; nobody teaches before `start_share` of them.

    Returns:
        Terms by name, `<branch>_<term>`, weighted.
    """
    watched = Watched() if watched is None else watched
    pairs = frame_pairs(batch, config) if config.learns_poses else None
    output = network(batch.seen, pairs)
    views = source_views(batch, output.motions, config)
    maps = [branch_maps(branch, config) for branch in output.branches]
    terms: LossTerms = {}
    for name, branch, own in zip(config.branch_names, config.branches, maps, strict=True):
        found: LossTerms = {}
        if branch.measured:
            found |= supervised_losses(own, batch.lidar_m, branch, config)
        if branch.sources:
            compared = [views[source] for source in branch.sources]
            found |= unsupervised_losses(own, batch, compared, branch, config, watched.of(name))
        terms |= {f'{name}_{term}': value for term, value in found.items()}
    if done < config.distillation.start_share:
        return terms
    return terms | distillation_losses(maps, batch.lidar_m > 0.0, config, watched)


def branch_maps(output: MonodepthOutput, config: MutualConfig) -> Maps:
    """Depth and uncertainty of a branch's output."""
    disparities = tuple(level.float() for level in output.disparities)
    log_sigmas = tuple(level.float() for level in output.log_sigmas)
    own = config.network
    depth_m = depth_from_sigmoid(
        disparities[0], min_depth_m=own.min_depth_m, max_depth_m=own.max_depth_m
    )
    return Maps(depth_m, log_sigmas[0], disparities, log_sigmas)


def supervised_losses(
    maps: Maps, lidar_m: Tensor, branch: BranchConfig, config: MutualConfig
) -> LossTerms:
    """L_S or L_S,u: terms against lidar, and what sigma costs where there is none."""
    own, valid, terms = config.supervised, lidar_m > 0.0, {}
    if branch.uncertainty != 'joint':
        terms['l1'] = own.weight * depth_l1_loss(maps.depth_m, lidar_m, valid)
    if branch.uncertainty == 'none':
        return terms
    terms['nll'] = own.weight * laplacian_nll_loss(
        maps.depth_m,
        maps.log_sigma,
        lidar_m,
        valid,
        detach_depth=branch.uncertainty == 'detached',
        uncertainty_weight=own.uncertainty_weight,
    )
    if own.filtering != 'none':
        terms['filtering'] = own.weight * unprojected_point_loss(
            maps.log_sigma,
            valid,
            magnitude_m=own.magnitude_m,
            form=own.filtering,  # type: ignore[arg-type]
        )
    return terms


def unsupervised_losses(
    maps: Maps,
    batch: DepthBatch,
    views: Sequence[SourceView],
    branch: BranchConfig,
    config: MutualConfig,
    watched: Watched,
) -> LossTerms:
    """L_U or L_U,u and L_sm: terms against other views of the clean image."""
    own, terms = config.photometric, {}
    groups = [views] if own.minimum else [[view] for view in views]
    found = [reprojections(maps, batch, group, config) for group in groups]
    watched.add(
        covered_share=_mean([scales[0].covered for scales in found]),
        moving_share=_mean([scales[0].moving for scales in found]),
    )
    uncertain = branch.kind == 'unsupervised' and branch.uncertainty != 'none'
    joint = uncertain and branch.uncertainty == 'joint'
    if not joint:
        parts = [photometric_loss(part.error, part.covered) for scales in found for part in scales]
        terms['photometric'] = own.weight * torch.stack(parts).mean()
    if uncertain:
        size = (batch.image.shape[-2], batch.image.shape[-1])
        sigmas = at_full_size(maps.log_sigmas[: own.scales], size)
        terms['photometric_nll'] = own.weight * _uncertain_error(
            found, sigmas, detached=not joint, before_mask=own.sigma_before_mask
        )
    if own.smoothness_weight:
        terms['smoothness'] = multi_scale_smoothness_loss(
            maps.disparities[: own.scales], batch.image, weight=own.smoothness_weight
        )
    return terms


def _uncertain_error(
    found: Sequence[Sequence[Reprojection]],
    log_sigmas: Sequence[Tensor],
    *,
    detached: bool,
    before_mask: bool,
) -> Tensor:
    """L_U,u, the mean over groups of views and scales; where detached, sigma alone learns."""
    parts = []
    for scales in found:
        for part, log_sigma in zip(scales, log_sigmas, strict=True):
            error = part.warped if before_mask else part.error
            parts.append(
                uncertain_photometric_loss(
                    error.detach() if detached else error,
                    log_sigma,
                    part.covered,
                    unmoved=part.unmoved if before_mask else None,
                )
            )
    return torch.stack(parts).mean()


def reprojections(
    maps: Maps, batch: DepthBatch, views: Sequence[SourceView], config: MutualConfig
) -> list[Reprojection]:
    """How well the depth of every scale explains the image by some views."""
    own, network = config.photometric, config.network
    return multi_scale_reprojection(
        maps.disparities[: own.scales],
        batch.image,
        views,
        batch.camera_matrix,
        auto_mask=own.auto_mask,
        ignore_unseen=own.ignore_unseen,
        generator=torch.default_generator if own.tie_noise else None,
        ssim_weight=own.ssim_weight,
        min_depth_m=network.min_depth_m,
        max_depth_m=network.max_depth_m,
    )


def distillation_losses(
    maps: Sequence[Maps], measured: Tensor, config: MutualConfig, watched: Watched
) -> LossTerms:
    """L_U->S and L_S->U, named after the branch that is taught."""
    own, terms = config.distillation, {}
    for student, weight in enumerate(config.taught_weights):
        teacher = 1 - student
        taught_m = maps[teacher].depth_m.detach()
        if config.branches[student].measured and not config.branches[teacher].measured:
            aligned = align_scale(
                taught_m,
                maps[student].depth_m.detach(),
                measured,
                align=own.align,  # type: ignore[arg-type]
            )
            taught_m = aligned.depth
            watched.add(scale_ratio=aligned.ratio.mean())
        if weight:
            terms[f'{config.branch_names[student]}_distillation'] = weight * (
                uncertainty_weighted_distillation_loss(
                    maps[student].depth_m,
                    taught_m,
                    _weighing(maps[teacher].log_sigma, own),
                    detach_sigma=own.detach_sigma,
                    **_use(own, (own.max_sigma_first, own.max_sigma_second)[teacher]),
                )
            )
    return terms


def _weighing(log_sigma: Tensor, config: DistillationConfig) -> Tensor:
    return torch.zeros_like(log_sigma) if config.use == 'none' else log_sigma


def _use(config: DistillationConfig, max_sigma: float) -> dict[str, Any]:
    if config.use == 'none':
        return {'use': 'uw'}
    return {
        'use': config.use,
        'normalization': config.normalization,
        'quantile': config.quantile or None,
        'max_sigma': max_sigma or None,
    }


def _mean(masks: Sequence[Tensor]) -> Tensor:
    return torch.stack([mask.float().mean() for mask in masks]).mean()
