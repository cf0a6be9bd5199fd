# SPDX-License-Identifier: Apache-2.0
"""The terms that teacher and student of CEKD minimize; `training.recipes.cekd` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.models import CENet, CENetOutput
from training.losses import (
    MeanCount,
    balanced_edge_loss,
    cross_entropy_loss,
    edge_hint_loss,
    feature_similarity_loss,
    prior_shift,
    soft_cross_entropy_loss,
)
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import edge_target
from training.recipes.cekd_networks import Student, StudentConfig

Batch = tuple[Tensor, Tensor]
LossTerms = dict[str, Tensor]

_CHANNELS = {'thermal': slice(0, 1), 'rgb': slice(1, 4), 'rgbt': slice(0, 4)}


def seen_by(images: Tensor, modality: str) -> Tensor:
    """The channels of a batch [batch, 4, height, width] that a network of a modality sees."""
    return images[:, _CHANNELS[modality]]


def shown_to(images: Tensor, drawn: str, modality: str) -> Tensor:
    """The channels of a batch that a network sees.

    Args:
        images: float [batch, channels, height, width] as drawn.
        drawn: modality of them.
        modality: of the network, a part of `drawn`.
    """
    return images if drawn == modality else seen_by(images, modality)


def teacher_losses(
    network: Callable[[Tensor], CENetOutput],
    batch: Batch,
    config: CekdConfig,
    weight: Tensor | None,
    *,
    mean_count: MeanCount | None = None,
) -> LossTerms:
    """The terms of stage 1.

    Args:
        network: the teacher.
        batch: images [batch, 4, height, width] and labels [batch, height, width].
        config: of the run.
        weight: of the classes.
        mean_count: over the processes that share the batch, see `training.losses.counts`.
    """
    images, labels = batch
    output = network(seen_by(images, config.teacher.modality))
    found = cross_entropy_loss(output.logits, labels, weight=weight, mean_count=mean_count)
    terms = {'segmentation': found}
    if output.edge_logits is not None:
        terms['edge'] = config.teacher.edge_weight * balanced_edge_loss(
            output.edge_logits,
            edge_target(images, labels, config.teacher),
            double_sigmoid=config.teacher.edge_double_sigmoid,
        )
    return terms


def student_losses(
    network: Callable[[Tensor], Any],
    teacher: Callable[[Tensor], CENetOutput] | None,
    batch: Batch,
    config: CekdConfig,
    weight: Tensor | None,
    *,
    mean_count: MeanCount | None = None,
) -> LossTerms:
    """The terms of stage 2; those of weight 0 are left out.

    Classes weigh against labels alone, unless `reweigh` says so: the teacher's answers carry the
    weights that it learnt with, and weighing them once more makes the student see rare classes
    everywhere. `reweigh` takes them back first.

    Args:
        network: the student.
        teacher: in eval mode; None where no term needs it.
        batch: as in `teacher_losses`; labels are looked at only where the target says so.
        config: of the run.
        weight: of the classes.
        mean_count: over the processes that share the batch, see `training.losses.counts`.
    """
    images, labels = batch
    own, student = config.student, network(seen_by(images, 'thermal'))
    terms: LossTerms = {}
    if own.target in ('label', 'both'):
        terms['label'] = own.segmentation_weight * cross_entropy_loss(
            student.logits, labels, weight=weight, mean_count=mean_count
        )
    if teacher is None:
        return terms
    with torch.no_grad():
        taught = teacher(seen_by(images, config.teacher.modality))
    if not own.reweigh:
        weight = None
    elif weight is not None:
        taught = taught._replace(logits=unweighted(taught.logits, weight))
    if own.target in ('teacher', 'both'):
        terms['segmentation'] = own.segmentation_weight * cross_entropy_loss(
            student.logits,
            taught.logits.max(dim=1).indices,  # several times as fast as argmax on a CPU
            weight=weight,
            mean_count=mean_count,
        )
    return terms | _imitation(student, taught, own, weight, mean_count)


def unweighted(logits: Tensor, weight: Tensor) -> Tensor:
    """What a network would say that had learnt without weights of the classes.

    What a teacher is sure of keeps no trace of the weights that it learnt with. Averaged over what
    a student cannot tell apart, a rare class fades: it never gets as likely as the same labels
    would have made it. Taken back here, the weights can count again in the student's loss, exactly
    as they count against labels.

    Args:
        logits: [batch, classes, height, width] of a network that learnt with the weights.
        weight: of the classes, positive.
    """
    return logits - prior_shift(weight, 1.0)[:, None, None]


def _imitation(
    student: Any,
    taught: CENetOutput,
    own: StudentConfig,
    weight: Tensor | None,
    mean_count: MeanCount | None,
) -> LossTerms:
    terms: LossTerms = {}
    if own.similarity_weight:
        terms['similarity'] = own.similarity_weight * feature_similarity_loss(
            student.features, taught.features
        )
    if own.edge_hint_weight:
        terms['edge_hint'] = own.edge_hint_weight * edge_hint_loss(student.hint, taught.hint)
    if own.soft_weight:
        terms['soft_cross_entropy'] = own.soft_weight * soft_cross_entropy_loss(
            student.logits,
            taught.logits,
            temperature=own.temperature,
            weight=weight,
            mean_count=mean_count,
        )
    return terms


class Both(nn.Module):
    """Teacher and student in one module, for training both at once."""

    def __init__(self, teacher: CENet, student: Student) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student

    def forward(self, images: Tensor, modality: str) -> tuple[CENetOutput, Any]:
        """What both say about images [batch, 4, height, width]."""
        return self.teacher(seen_by(images, modality)), self.student(seen_by(images, 'thermal'))


def joint_losses(
    network: Callable[..., tuple[CENetOutput, Any]],
    batch: Batch,
    config: CekdConfig,
    weight: Tensor | None,
    *,
    mean_count: MeanCount | None = None,
) -> LossTerms:
    """All terms of both stages in one step; nothing flows back from the student to the teacher."""
    images, _ = batch
    taught, student = network(images, config.teacher.modality)
    detached = CENetOutput(*(None if part is None else part.detach() for part in taught))
    terms = teacher_losses(lambda _: taught, batch, config, weight, mean_count=mean_count)
    own = student_losses(
        lambda _: student, lambda _: detached, batch, config, weight, mean_count=mean_count
    )
    return terms | {f'student_{name}': value for name, value in own.items()}
