# SPDX-License-Identifier: Apache-2.0
"""How alike the features of any two places are, taught by the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.tensor_checks import at_least_float32, check_shape


def feature_similarity_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Squared difference of the cosine similarities of all pairs of places, L_sim of CEKD.

    The pair-wise loss of structured distillation without pooling before. Lengths of the features
    are constants for the gradient, as in the code of both papers. Memory grows with the square of
    the number of places, 300 in CEKD.

    Args:
        student_features: [batch, student channels, height, width].
        teacher_features: [batch, teacher channels, height, width]; gets no gradient. The numbers
            of channels may differ: only similarities are compared.

    Returns:
        The mean over images and pairs, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for
        Semantic Scene Understanding Using Only Thermal Images", RA-L 2023.
        Y. Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019.
    """
    check_shape('student_features', student_features, (None, None, None, None))
    batch, _, height, width = student_features.shape
    check_shape('teacher_features', teacher_features, (batch, None, height, width))
    # Autocast would multiply the matrices in half precision.
    with torch.autocast(student_features.device.type, enabled=False):
        student, teacher = _similarity(student_features), _similarity(teacher_features.detach())
        return functional.mse_loss(student, teacher)


def _similarity(features: Tensor) -> Tensor:
    """Cosine similarities, [batch, places, places]."""
    vectors = at_least_float32(features).flatten(2)
    length = torch.linalg.vector_norm(vectors.detach(), dim=1, keepdim=True)
    directions = vectors / (length + 1e-8)
    return torch.bmm(directions.transpose(1, 2), directions)
