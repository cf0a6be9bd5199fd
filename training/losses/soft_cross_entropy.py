# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy against the teacher's softened probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from training.losses.counts import MeanCount
from training.losses.places import weighted_mean, weights_of_places
from training.tensor_checks import at_least_float32, check_positive, check_shape


def soft_cross_entropy_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 6.0,
    weight: Tensor | None = None,
    classes: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Cross-entropy of softened class probabilities at every pixel, L_kdce of CEKD.

    It is least where student and teacher agree, and is then the teacher's entropy, not 0. Without
    the factor temperature² of Hinton et al.: gradients shrink with a rising temperature.

    Args:
        student_logits: [batch, classes, height, width].
        teacher_logits: of the same shape; gets no gradient.
        temperature: divides the logits of both, > 0; 6 in CEKD.
        weight: of the classes [classes], or None for equal ones. As in `cross_entropy_loss`, each
            class counts by its weight, and the sum is divided by the weights of what the teacher
            says: it is then least where the student's softened probabilities are the teacher's
            times the weights, which its logits have `temperature` times over.
        classes: of the places, int64 [batch, height, width]: all classes of a place then count by
            the weight of this one, and it is least where the student agrees with the teacher.
        mean_count: over the processes that share a batch, see `training.losses.counts`.

    Returns:
        The mean over pixels and images, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the temperature is not above 0 and finite.

    Reference:
        Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for
        Semantic Scene Understanding Using Only Thermal Images", RA-L 2023.
        G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    check_shape('student_logits', student_logits, (None, None, None, None))
    check_shape('teacher_logits', teacher_logits, tuple(student_logits.shape))
    check_positive('temperature', temperature)
    student = functional.log_softmax(at_least_float32(student_logits) / temperature, dim=1)
    teacher = functional.softmax(at_least_float32(teacher_logits.detach()) / temperature, dim=1)
    if weight is None:
        return -(teacher * student).sum(dim=1).mean()
    check_shape('weight', weight, (student_logits.shape[1],))
    if classes is not None:
        of_places = weights_of_places(weight, classes, student_logits)
        return weighted_mean(-(teacher * student).sum(dim=1), of_places, mean_count)
    weighted = teacher * weight[:, None, None]
    count = weighted.sum()
    if mean_count is not None:
        count = mean_count(count)
    return -(weighted * student).sum() / count
