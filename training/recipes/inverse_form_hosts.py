# SPDX-License-Identifier: Apache-2.0
"""Recipes whose students can learn with InverseForm: their teachers and their terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.boundary_student import BoundaryOutput
from training.distributed import Fabric
from training.process_counts import counts_of_all
from training.recipes import cekd, compress
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_losses import seen_by, student_losses
from training.recipes.compress_config import CompressConfig
from training.recipes.compress_teacher import load_teacher
from training.recipes.inverse_form_config import InverseFormConfig

LossTerms = dict[str, Tensor]
Batch = tuple[Tensor, ...]

HostTerms = Callable[[BoundaryOutput, Batch, Tensor | None], tuple[LossTerms, Tensor | None]]
"""From output, batch and class weights to terms, and the mask that the teacher says."""


def host_terms(config: InverseFormConfig, fabric: Fabric) -> HostTerms | None:
    """What the host of a run adds to a step; None without one.

    The teacher of CEKD is trained where it is not there yet; that of a compression must be.

    Raises:
        ConfigError: the host knows other classes, or its teacher cannot be had.
    """
    run = config.host.run()
    if run is None:
        return None
    if isinstance(run, CekdConfig):
        if run.label_set is not config.label_set:
            raise ConfigError(
                f'the host must know the classes of {config.label_set.title}, got '
                f'{run.label_set.title}'
            )
        return _cekd_terms(run, fabric)
    return _compress_terms(run, fabric)


def _cekd_terms(run: CekdConfig, fabric: Fabric) -> HostTerms:
    teacher = cekd.trained_teacher(run, fabric) if run.student.needs_teacher else None
    losses = partial(student_losses, mean_count=counts_of_all(fabric))

    def terms(
        output: BoundaryOutput, batch: Batch, weight: Tensor | None
    ) -> tuple[LossTerms, Tensor | None]:
        images, labels = batch
        student = output.student
        if teacher is None:
            return losses(lambda _: student, None, (images, labels), run, weight), None
        with torch.no_grad(), fabric.autocast():
            taught: Any = teacher(seen_by(images, run.teacher.modality))
        found = losses(lambda _: student, lambda _: taught, (images, labels), run, weight)
        return found, taught.logits.max(dim=1).indices

    return terms


def _compress_terms(run: CompressConfig, fabric: Fabric) -> HostTerms:
    teacher = load_teacher(run, fabric)
    losses = partial(compress.compression_losses, mean_count=counts_of_all(fabric))

    def terms(
        output: BoundaryOutput, batch: Batch, weight: Tensor | None
    ) -> tuple[LossTerms, Tensor | None]:
        def own(images: Tensor) -> Tensor:
            return output.logits

        student: Any = own  # a network, of which nothing but its answer is asked
        if teacher is None:
            return losses(student, None, batch, run, weight), None
        taught = teacher.logits(batch[0])
        answered = replace(teacher, logits=lambda _: taught)  # asked once in a step
        found = losses(student, answered, batch, run, weight)
        return found, _at_size_of(batch[0], taught).max(dim=1).indices

    return terms


def _at_size_of(images: Tensor, scores: Tensor) -> Tensor:
    """Scores at the size of the images; those of a bundle may be smaller."""
    size = (images.shape[2], images.shape[3])
    if tuple(scores.shape[2:]) == size:
        return scores
    return functional.interpolate(scores, size, mode='bilinear', align_corners=False)
