# SPDX-License-Identifier: Apache-2.0
"""The terms that a student with a boundary head minimizes; `training.recipes.inverse_form`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.boundary_student import BoundaryOutput
from training.losses import (
    MeanCount,
    balanced_edge_loss,
    batch_class_weights,
    boundary_target,
    cross_entropy_loss,
    edge_attention_loss,
    inverse_form_loss,
)
from training.recipes.cekd_losses import shown_to
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_hosts import HostTerms
from training.recipes.inverse_form_modules import InverseModule, distance_of

Batch = tuple[Tensor, ...]
LossTerms = dict[str, Tensor]


def student_terms(
    network: Callable[[Tensor], BoundaryOutput],
    batch: Batch,
    config: InverseFormConfig,
    *,
    host: HostTerms | None = None,
    inverse: InverseModule | None = None,
    weight: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> LossTerms:
    """All terms of a step; those of weight 0 are left out.

    Args:
        network: the student with its boundary head.
        batch: images [batch, channels, height, width] and labels int64 [batch, height, width].
        config: of the run.
        host: of `host_terms`; without it, cross-entropy against the labels.
        inverse: frozen; needed where InverseForm has a weight.
        weight: of the classes by the shares of the training frames.
        mean_count: of `counts_of_all`.
    """
    images, labels = batch
    output = network(shown_to(images, config.drawn_modality, config.modality))
    logits = _scaled(output.logits, labels)
    taught: Tensor | None = None
    if host is None:
        if config.class_weights == 'batch':
            weight = batch_class_weights(
                labels, config.label_set.num_classes, mean_count=mean_count
            )
        auxiliary = getattr(output.student, 'auxiliary_logits', None)
        shares = {'weight': weight, 'mean_count': mean_count}
        terms = _segmentation(logits, auxiliary, labels, config, **shares)
    else:
        terms, taught = host(output, batch, weight)
    if config.student.looks_at_boundaries:
        from_label = config.student.outlines == 'label'
        mask = labels if from_label else taught
        assert mask is not None
        edge_logits = _scaled(output.edge_logits, mask)
        target = boundary_target(mask, radius=config.boundary_radius_px)
        shares = {'weight': weight if from_label else None, 'mean_count': mean_count}
        terms |= _edge_terms(logits, mask, edge_logits, target, config, **shares)
        if config.student.inverse_form_weight:
            assert inverse is not None
            loss = _inverse_form(config, inverse)
            found = loss(edge_logits, target, mean_count=mean_count)
            terms['inverse_form'] = config.student.inverse_form_weight * inverse.scale * found
    return terms


def _scaled(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits in float32 at the size of a mask."""
    logits, size = logits.float(), tuple(mask.shape[1:])
    if tuple(logits.shape[2:]) == size:
        return logits
    return functional.interpolate(logits, size, mode='bilinear', align_corners=False)


def _segmentation(
    logits: Tensor,
    auxiliary: Tensor | None,
    labels: Tensor,
    config: InverseFormConfig,
    **shares: Any,
) -> LossTerms:
    own = config.student
    terms: LossTerms = {}
    if own.segmentation_weight:
        found = cross_entropy_loss(logits, labels, **shares)
        terms['segmentation'] = own.segmentation_weight * found
    if auxiliary is not None and own.auxiliary_weight:
        found = cross_entropy_loss(_scaled(auxiliary, labels), labels, **shares)
        terms['auxiliary'] = own.auxiliary_weight * found
    return terms


def _edge_terms(
    logits: Tensor,
    mask: Tensor,
    edge_logits: Tensor,
    target: Tensor,
    config: InverseFormConfig,
    *,
    weight: Tensor | None,
    mean_count: MeanCount | None,
) -> LossTerms:
    own = config.student
    terms: LossTerms = {}
    if own.boundary_weight:
        found = balanced_edge_loss(edge_logits, target, per_image=False, mean_count=mean_count)
        terms['boundary'] = own.boundary_weight * found
    if own.attention_weight:
        found = edge_attention_loss(
            logits, mask, edge_logits, threshold=own.attention_threshold, weight=weight,
            mean_count=mean_count,
        )  # fmt: skip
        terms['edge_attention'] = own.attention_weight * found
    return terms


def _inverse_form(config: InverseFormConfig, inverse: InverseModule) -> Any:
    own, settings = config.student, config.inverse
    return partial(
        inverse_form_loss,
        network=inverse.network,
        tile=settings.network.tile,
        size=settings.tiling_size,
        distance=distance_of(own.distance, settings.ranges),
        min_edge_pixels=settings.min_edge_pixels,
        sum_over_tiles=own.sum_over_tiles,
    )


def edge_probability(output: BoundaryOutput, size: tuple[int, int]) -> Tensor:
    """Probability of a boundary at a size, float32 [batch, *size]."""
    logits = output.edge_logits.float()
    scaled = functional.interpolate(logits, size, mode='bilinear', align_corners=False)
    return torch.sigmoid(scaled[:, 0])
