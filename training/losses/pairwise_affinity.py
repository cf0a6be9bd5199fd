# SPDX-License-Identifier: Apache-2.0
"""How alike any two places, or any two patches, are, taught by the teacher."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.losses.feature_similarity import feature_similarity_loss
from training.tensor_checks import at_least_float32, check_shape

Pool = Literal['none', '2x2', 'half']


def pairwise_affinity_loss(
    student_features: Tensor, teacher_features: Tensor, *, pool: Pool = 'none'
) -> Tensor:
    """Squared difference of the cosine similarities of all pairs of patches, PA.

    It is `feature_similarity_loss` of the largest activations of each patch: of places themselves
    without pooling, where memory grows with the square of their number.

    Args:
        student_features: features or logits, [batch, student channels, height, width].
        teacher_features: [batch, teacher channels, height, width]; gets no gradient. The numbers
            of channels may differ: only similarities are compared.
        pool: patches. `none` has every place (the cost that the table of channel-wise distillation
            gives), `2x2` patches of two by two places, `half` patches of half of the height and of
            the width, as in the code of structured distillation: four where both are even. Patches
            at the end are cut off, so that an odd number of three or more rows or columns makes
            three patches, the last of them one place wide.

    Returns:
        The mean over images and pairs, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the pool is unknown.

    Reference:
        Y. Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019.
    """
    check_shape('student_features', student_features, (None, None, None, None))
    batch, _, height, width = student_features.shape
    check_shape('teacher_features', teacher_features, (batch, None, height, width))
    if pool not in get_args(Pool):
        raise ConfigError(f'pool must be one of {list(get_args(Pool))}, received {pool!r}')
    return feature_similarity_loss(
        _pooled(student_features, pool), _pooled(teacher_features, pool)
    )


def _pooled(features: Tensor, pool: Pool) -> Tensor:
    """The largest activation of each channel in each patch."""
    if pool == 'none':
        return features
    height, width = features.shape[2:]
    patch = (2, 2) if pool == '2x2' else (max(height // 2, 1), max(width // 2, 1))
    return functional.max_pool2d(at_least_float32(features), patch, patch, ceil_mode=True)
