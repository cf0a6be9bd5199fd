# SPDX-License-Identifier: Apache-2.0
"""How alike each place is to the mean of its class, taught by the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.uncertainty import IGNORE_INDEX
from training.tensor_checks import at_least_float32, check_shape


def intra_class_variation_loss(
    student_features: Tensor,
    teacher_features: Tensor,
    target: Tensor,
    *,
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Squared difference of the cosines between places and the mean of their class, IFVD.

    Means are those of one image, and learn: the gradient passes through them.

    Args:
        student_features: features or logits, [batch, student channels, height, width].
        teacher_features: [batch, teacher channels, height, width]; gets no gradient. The numbers
            of channels may differ: only cosines are compared.
        target: classes, of any type, [batch, rows, columns] of any size: of each place, its
            nearest label above and to the left counts.
        num_classes: >= 1.
        ignore_index: label without class. Places that have it, or any other label that is no
            class, differ in nothing: they do not teach, but count in the mean, as in the authors'
            code.

    Returns:
        The mean over images and places, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        Y. Wang, W. Zhou, T. Jiang, X. Bai, Y. Xu, "Intra-Class Feature Variation Distillation for
        Semantic Segmentation", ECCV 2020.
    """
    check_shape('student_features', student_features, (None, None, None, None))
    batch, _, height, width = student_features.shape
    check_shape('teacher_features', teacher_features, (batch, None, height, width))
    check_shape('target', target, (batch, None, None))
    label = functional.interpolate(target[:, None].float(), (height, width), mode='nearest')
    classes = torch.arange(num_classes, device=target.device)
    members = (label.flatten(1)[:, :, None] == classes) & (classes != ignore_index)
    # Autocast would multiply the matrices in half precision.
    with torch.autocast(student_features.device.type, enabled=False):
        student = _cosines(student_features, members)
        teacher = _cosines(teacher_features.detach(), members)
        return functional.mse_loss(student, teacher)


def _cosines(features: Tensor, members: Tensor) -> Tensor:
    """Cosine of every place with the mean of its class, 0 without class, [batch, places].

    Args:
        features: [batch, channels, height, width].
        members: whether a place is of a class, [batch, places, classes].
    """
    vectors = at_least_float32(features).flatten(2)
    member = members.to(vectors.dtype)
    count = member.sum(dim=1, keepdim=True).clamp(min=1.0)
    means = torch.bmm(vectors, member / count)
    return functional.cosine_similarity(vectors, torch.bmm(means, member.transpose(1, 2)), dim=1)
