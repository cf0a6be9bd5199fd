# SPDX-License-Identifier: Apache-2.0
"""Features of the teacher after its edge module as a hint for the student's decoder."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from training.tensor_checks import at_least_float32, check_shape


def edge_hint_loss(student_hint: Tensor, teacher_hint: Tensor) -> Tensor:
    """Mean squared error between decoder features, L_edge of CEKD's student.

    Args:
        student_hint: E_t, decoder features before the enhanced heat is added, [batch, channels,
            height, width].
        teacher_hint: h, decoder features plus edge map, of the same shape; gets no gradient.

    Returns:
        The mean over all elements, a scalar of at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for
        Semantic Scene Understanding Using Only Thermal Images", RA-L 2023.
    """
    check_shape('student_hint', student_hint, (None, None, None, None))
    check_shape('teacher_hint', teacher_hint, tuple(student_hint.shape))
    return functional.mse_loss(
        at_least_float32(student_hint), at_least_float32(teacher_hint.detach())
    )
