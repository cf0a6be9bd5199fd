# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation: where each channel is active, taught by the teacher."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from training.tensor_checks import at_least_float32, check_positive, check_shape


def channel_wise_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Divergence KL(teacher || student) of the places of each channel, CWD.

    A softmax over the places makes each channel of an image a distribution; the sum of the
    divergences is divided by batch * channels and multiplied by temperature², as in the authors'
    code. The number of places does not divide: the softmax has done so. Unlike that code, which
    takes the logarithm of a softmax, sharp maps do not become infinite.

    Args:
        student: logits before they are upsampled, or features, [batch, channels, height, width].
        teacher: of the same shape; gets no gradient. Where it has other channels, bring those of
            the student to as many by a convolution before.
        temperature: divides the activations of both, > 0; 4 in the paper. The gradient of an
            activation is temperature / (batch * channels) times the difference of both softmaxes.

    Returns:
        A scalar of at least 0 but for rounding, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the temperature is not above 0 and finite.

    Reference:
        C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
        Prediction", ICCV 2021.
    """
    check_shape('student', student, (None, None, None, None))
    check_shape('teacher', teacher, tuple(student.shape))
    check_positive('temperature', temperature)
    log_student = _log_places(student, temperature)
    log_teacher = _log_places(teacher.detach(), temperature)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=2)
    return temperature**2 * divergence.mean()


def _log_places(activations: Tensor, temperature: float) -> Tensor:
    """Logarithm of the softmax over the places, [batch, channels, places]."""
    return functional.log_softmax(at_least_float32(activations).flatten(2) / temperature, dim=2)
