# SPDX-License-Identifier: Apache-2.0
"""Pixel-wise distillation: class probabilities of every place, taught by the teacher."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.losses.counts import MeanCount
from training.losses.places import weighted_mean, weights_of_places
from training.tensor_checks import at_least_float32, check_positive, check_shape

Normalization = Literal['elements', 'pixels']


def pixel_wise_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 1.0,
    normalization: Normalization = 'elements',
    weight: Tensor | None = None,
    classes: Tensor | None = None,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Divergence KL(teacher || student) of the classes at each place, PI.

    Both forms are multiplied by temperature², so that the size of the gradients does not hang on
    the temperature; the code of channel-wise distillation lacks the factor, and has temperature 1.

    Args:
        student_logits: [batch, classes, height, width].
        teacher_logits: of the same shape; gets no gradient.
        temperature: divides the logits of both, > 0; 1 in that code.
        normalization: `elements` is the mean over batch * classes * places of that code, where the
            weight of the loss is 10; `pixels` is the mean over batch * places, which is larger by
            the number of classes and is taken with weight 1.
        weight: of the classes [classes], > 0, or None for equal ones, as in both codes. A place
            counts as much as its class, and the sum is divided by what all places count.
        classes: class of each place by which it is weighed, int64 [batch, height, width]; None
            takes the one that the teacher finds most likely. Maps that are no class scores need
            it, and `weight` is then as long as there are classes, not channels.
        mean_count: of what the places count, over the processes that share a batch, see
            `training.losses.counts`.

    Returns:
        A scalar of at least 0 but for rounding, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the temperature is not above 0 and finite, or the normalization is unknown.

    Reference:
        Y. Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019.
        C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
        Prediction", ICCV 2021 (the mean over elements).
    """
    check_shape('student_logits', student_logits, (None, None, None, None))
    check_shape('teacher_logits', teacher_logits, tuple(student_logits.shape))
    check_positive('temperature', temperature)
    if normalization not in get_args(Normalization):
        raise ConfigError(
            f'normalization must be one of {list(get_args(Normalization))}, '
            f'received {normalization!r}'
        )
    divergence = _divergence(student_logits, teacher_logits.detach(), temperature)
    if weight is None:
        mean = divergence.mean()
    else:
        of_places = weights_of_places(weight, classes, teacher_logits)
        mean = weighted_mean(divergence, of_places, mean_count)
    channels = student_logits.shape[1]
    return temperature**2 * (mean / channels if normalization == 'elements' else mean)


def _divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of every place, [batch, height, width]."""
    log_student = functional.log_softmax(at_least_float32(student) / temperature, dim=1)
    log_teacher = functional.log_softmax(at_least_float32(teacher) / temperature, dim=1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1)
