# SPDX-License-Identifier: Apache-2.0
"""Attention transfer: where an image excites the network, taught by the teacher."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.tensor_checks import at_least_float32, check_positive, check_shape

MIN_SCALE = 1e-30
"""Keeps the map of an image without any activation finite."""


def attention_transfer_loss(
    student_features: Tensor, teacher_features: Tensor, *, power: float = 2.0
) -> Tensor:
    """Squared difference of the attention maps of whole images, AT.

    The map of an image is the sum of |activation|^power over the channels, divided by its
    Euclidean length over all places; a mean in the place of the sum, as in one of the two codes,
    is the same map. Values are small, at most 2 / places: the weight in those codes is 1e4.

    Args:
        student_features: features or logits, [batch, student channels, height, width].
        teacher_features: [batch, teacher channels, height, width]; gets no gradient. The numbers
            of channels may differ: only the maps are compared.
        power: of the activations, >= 1; 2 in the codes.

    Returns:
        The mean over images and places, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the power is below 1 or not finite.

    Reference:
        S. Zagoruyko, N. Komodakis, "Paying More Attention to Attention: Improving the Performance
        of Convolutional Neural Networks via Attention Transfer", ICLR 2017.
    """
    check_shape('student_features', student_features, (None, None, None, None))
    batch, _, height, width = student_features.shape
    check_shape('teacher_features', teacher_features, (batch, None, height, width))
    check_positive('power', power)
    if power < 1.0:
        raise ConfigError(f'power must be at least 1, received {power}')
    return functional.mse_loss(
        _attention(student_features, power), _attention(teacher_features.detach(), power)
    )


def _attention(features: Tensor, power: float) -> Tensor:
    """Attention maps of length 1, [batch, places]."""
    magnitude = at_least_float32(features).abs().flatten(2)
    # The map does not depend on a common scale, so that dividing by the largest activation changes
    # neither it nor its gradient, and no power of it can overflow.
    largest = magnitude.detach().amax(dim=(1, 2), keepdim=True).clamp(min=MIN_SCALE)
    return functional.normalize((magnitude / largest).pow(power).sum(dim=1), dim=1)
