# SPDX-License-Identifier: Apache-2.0
"""How each place differs from its eight neighbors, taught by the teacher."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from training.tensor_checks import at_least_float32, check_shape

Similarity = Literal['distance', 'cosine']

_STEPS = tuple((row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1))


def local_similarity_loss(
    student_features: Tensor, teacher_features: Tensor, *, similarity: Similarity = 'distance'
) -> Tensor:
    """Squared difference of what places have in common with their neighbors, LOCAL.

    Args:
        student_features: features or logits, [batch, student channels, height, width], height and
            width at least 3: places at the border lack neighbors and do not count.
        teacher_features: [batch, teacher channels, height, width]; gets no gradient. The numbers
            of channels may differ, but `distance` grows with them.
        similarity: `distance` compares one number per place, the sum of the squared Euclidean
            distances to the eight neighbors, so that the loss grows with the fourth power of the
            features' scale; `cosine` compares the eight cosines.

    Returns:
        The mean over images, inner places and, for `cosine`, neighbors: a scalar of at least 0, in
        float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: the similarity is unknown.

    Reference:
        J. Xie, B. Shuai, J. Hu, J. Lin, W. Zheng, "Improving Fast Segmentation with
        Teacher-Student Learning", BMVC 2018, as the code of structured distillation has it.
    """
    check_shape('student_features', student_features, (None, None, None, None))
    batch, _, height, width = student_features.shape
    check_shape('teacher_features', teacher_features, (batch, None, height, width))
    if min(height, width) < 3:
        raise ShapeError(f'height and width must be at least 3, received {height} and {width}')
    if similarity not in get_args(Similarity):
        raise ConfigError(
            f'similarity must be one of {list(get_args(Similarity))}, received {similarity!r}'
        )
    compare = _distance if similarity == 'distance' else _cosines
    return functional.mse_loss(compare(student_features), compare(teacher_features.detach()))


def _distance(features: Tensor) -> Tensor:
    """Sum of the squared distances to the neighbors, [batch, height - 2, width - 2]."""
    features = at_least_float32(features)
    center = _shifted(features, (1, 1))
    total = torch.zeros_like(center[:, 0])
    for step in _STEPS:
        total = total + (center - _shifted(features, step)).square().sum(dim=1)
    return total


def _cosines(features: Tensor) -> Tensor:
    """Cosines with the neighbors, [batch, 8, height - 2, width - 2]."""
    directions = functional.normalize(at_least_float32(features), dim=1)
    center = _shifted(directions, (1, 1))
    return torch.stack([(center * _shifted(directions, step)).sum(dim=1) for step in _STEPS], 1)


def _shifted(features: Tensor, step: tuple[int, int]) -> Tensor:
    """The neighbors of the inner places that lie `step` - (1, 1) from them."""
    row, column = step
    height, width = features.shape[2] - 2, features.shape[3] - 2
    return features[:, :, row : row + height, column : column + width]
