# SPDX-License-Identifier: Apache-2.0
"""Holistic distillation: class scores that a discriminator takes for those of the teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from training.tensor_checks import at_least_float32, check_shape


def holistic_loss(discriminator: nn.Module, student_logits: Tensor) -> Tensor:
    """What the student gains from looking like the teacher, HO; the weight is 1e-3 in the code.

    Args:
        discriminator: maps float [batch, classes, height, width] to scores [batch], higher for
            the teacher. It gets no gradient here; its running statistics move on.
        student_logits: [batch, classes, height, width], before they are upsampled.

    Returns:
        Minus the mean score, an unbounded scalar in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        Y. Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019.
        M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein Generative Adversarial Networks", ICML
        2017.
    """
    check_shape('student_logits', student_logits, (None, None, None, None))
    constants = {name: value.detach() for name, value in discriminator.named_parameters()}
    with torch.autocast(student_logits.device.type, enabled=False):
        inputs = (at_least_float32(student_logits),)
        scores: Tensor = functional_call(discriminator, constants, inputs)
    return -scores.mean()


def discriminator_loss(
    discriminator: nn.Module,
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    penalty_weight: float = 10.0,
    mix: Tensor | None = None,
) -> Tensor:
    """What the discriminator minimizes: scores of the student less those of the teacher.

    The code multiplies it by 0.1, and optimizes with Adam at 4e-4 and betas of 0.9 and 0.99.

    Args:
        discriminator: as in `holistic_loss`; it alone learns.
        student_logits: [batch, classes, height, width]; gets no gradient.
        teacher_logits: of the same shape; gets no gradient.
        penalty_weight: of `gradient_penalty`, >= 0; 10 in the code.
        mix: see `gradient_penalty`.

    Returns:
        An unbounded scalar in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        I. Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017.
    """
    check_shape('student_logits', student_logits, (None, None, None, None))
    check_shape('teacher_logits', teacher_logits, tuple(student_logits.shape))
    student = at_least_float32(student_logits.detach())
    teacher = at_least_float32(teacher_logits.detach())
    with torch.autocast(student.device.type, enabled=False):
        difference: Tensor = discriminator(student).mean() - discriminator(teacher).mean()
        if not penalty_weight:
            return difference
        return difference + penalty_weight * gradient_penalty(
            discriminator, student, teacher, mix=mix
        )


def gradient_penalty(
    discriminator: nn.Module, student: Tensor, teacher: Tensor, *, mix: Tensor | None = None
) -> Tensor:
    """How far the slope of the discriminator is from 1 between student and teacher.

    Args:
        discriminator: as in `holistic_loss`.
        student: float32 or finer, [batch, classes, height, width], without gradient.
        teacher: of the same shape.
        mix: share of the teacher in the map of each image where the slope is taken [batch], 0 to
            1; drawn evenly by default.

    Returns:
        Mean squared difference of the length of the gradient of each image from 1.
    """
    share = torch.rand_like(student[:, 0, 0, 0]) if mix is None else mix.to(student)
    check_shape('mix', share, (student.shape[0],))
    between = torch.lerp(student, teacher, share[:, None, None, None]).requires_grad_()
    scores = discriminator(between).sum()
    (slope,) = torch.autograd.grad(scores, between, create_graph=True)
    length = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    return functional.mse_loss(length, torch.ones_like(length))
