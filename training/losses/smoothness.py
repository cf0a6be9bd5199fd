# SPDX-License-Identifier: Apache-2.0
"""Edge-aware smoothness: depth changes where the image does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ShapeError
from training.tensor_checks import at_least_float32, check_positive, check_shape

_ADDED_MEAN = 1e-7
"""Of Monodepth2: what is 0 everywhere is smooth."""


def smoothness_loss(inverse_depth: Tensor, image: Tensor) -> Tensor:
    """Mean of |dx d| exp(-|dx I|) plus mean of |dy d| exp(-|dy I|), with d divided by its mean.

    As in the authors' code of Monodepth2, where 1e-7 is added to the mean. Differences are those
    of neighboring pixels; that of the image is the mean over its channels. Dividing by the mean
    keeps depth from growing without end, which would make any inverse depth smooth.

    Args:
        inverse_depth: of any unit, 1/m, or a network's output of 0 (farthest) to 1 (nearest) as in
            Monodepth2; at least 0, [batch, 1, height, width]. Its scale does not count,
            as long as its mean is far above 1e-7.
        image: floats of 0 to 1, [batch, channels, height, width]; gets no gradient.

    Returns:
        The mean over places and images, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that, or there are fewer than 2 rows or columns.

    Reference:
        C. Godard, O. Mac Aodha, M. Firman, G. Brostow, "Digging Into Self-Supervised Monocular
        Depth Estimation" (Monodepth2), ICCV 2019.
    """
    check_shape('inverse_depth', inverse_depth, (None, 1, None, None))
    batch, _, height, width = inverse_depth.shape
    check_shape('image', image, (batch, None, height, width))
    if min(height, width) < 2:
        raise ShapeError(f'inverse_depth must be at least 2x2, received {height}x{width}')
    inverse_depth, image = at_least_float32(inverse_depth), at_least_float32(image.detach())
    mean = inverse_depth.mean(dim=(2, 3), keepdim=True)
    level = inverse_depth / (mean + _ADDED_MEAN)
    return _along(level, image, 3) + _along(level, image, 2)


def _along(level: Tensor, image: Tensor, dim: int) -> Tensor:
    """One direction of the loss."""
    step = torch.diff(image, dim=dim).abs().mean(dim=1, keepdim=True)
    return (torch.diff(level, dim=dim).abs() * torch.exp(-step)).mean()


def smoothness_weight(scale: int, weight: float = 1.0e-3) -> float:
    """Weight of the smoothness of scale 0 (full resolution), 1 (half) and so on, weight / 2^scale.

    Args:
        scale: >= 0.
        weight: of scale 0; 1e-3 in Monodepth2.
    """
    return float(weight / 2**scale)


def multi_scale_smoothness_loss(
    inverse_depths: Sequence[Tensor], image: Tensor, *, weight: float = 1.0e-3
) -> Tensor:
    """Mean over the scales of `smoothness_loss`, each times its `smoothness_weight`.

    The image is brought to the size of each scale by means over areas; Monodepth2 resizes it with
    Pillow when it loads it.

    Args:
        inverse_depths: of scale 0, 1 and so on, as `smoothness_loss` takes them; at least one.
        image: floats of 0 to 1, [batch, channels, height, width].
        weight: of scale 0, > 0.

    Returns:
        A scalar of at least 0.

    Raises:
        ShapeError: shapes differ from that, or there is no scale.
        ConfigError: the weight is not above 0 and finite.
    """
    check_positive('weight', weight)
    check_shape('image', image, (None, None, None, None))
    if not inverse_depths:
        raise ShapeError('inverse_depths must be at least one scale, received none')
    image = at_least_float32(image.detach())
    terms = []
    for scale, level in enumerate(inverse_depths):
        small = functional.interpolate(image, level.shape[-2:], mode='area')
        terms.append(smoothness_weight(scale, weight) * smoothness_loss(level, small))
    return torch.stack(terms).mean()
