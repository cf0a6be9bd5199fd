# SPDX-License-Identifier: Apache-2.0
"""How far a transform of the plane is from another one, or from none at all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.tensor_checks import at_least_float32, check_shape

RESIDUAL_WEIGHT = 0.1

_SMALLEST_SUM = 1e-6


def parameter_distance(parameters: Tensor) -> Tensor:
    """Norm of parameters whose zero is the identity: the distance of the authors' code.

    Args:
        parameters: [number, parameters], each as a share of its range.

    Returns:
        [number], at least 0, in float32 or a finer type.

    Raises:
        ShapeError: the parameters have another shape.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021.
    """
    check_shape('parameters', parameters, (None, None))
    norms: Tensor = torch.linalg.vector_norm(at_least_float32(parameters), dim=1)
    return norms


def euclidean_distance(estimated: Tensor, true: Tensor | None = None) -> Tensor:
    """Frobenius norm of the difference of two transforms.

    Args:
        estimated: matrices [number, 3, 3].
        true: of the same shape; the identity if None, as in a loss.

    Returns:
        [number], at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        As of `parameter_distance`.
    """
    estimated, true = _both(estimated, true)
    norms: Tensor = torch.linalg.matrix_norm(estimated - true)
    return norms


def geodesic_distance(
    estimated: Tensor, true: Tensor | None = None, *, residual_weight: float = RESIDUAL_WEIGHT
) -> Tensor:
    """Angle of the rotation that is nearest to the difference of two transforms, and what is left.

    Geodesics of the group of homographies have no closed form, so that the difference
    D = true^-1 estimated is projected onto the rotations: P = U diag(1, 1, det(U V')) V' with
    D = U S V'. The distance is arccos((tr P - 1) / 2) + residual_weight * |D - P|^2.

    The angle is taken as the arctangent of its sine and cosine, where the paper has an arccosine:
    the same value, but exactly 0 and with a gradient at the identity. The gradient of P is that of
    the polar decomposition, which is finite where singular values meet; that of the singular
    vectors is not, and the identity has three equal singular values.

    Args:
        estimated: matrices [number, 3, 3].
        true: of the same shape, invertible; the identity if None, as in a loss.
        residual_weight: of the squared Frobenius norm of what no rotation explains.

    Returns:
        [number], at least 0, in float32 or a finer type.

    Raises:
        ShapeError: shapes differ from that.

    Reference:
        As of `parameter_distance`.
    """
    estimated, true = _both(estimated, true)
    difference: Tensor = torch.linalg.solve(true, estimated)
    rotation = _nearest_rotation(difference)
    cosine = (rotation.diagonal(dim1=1, dim2=2).sum(dim=1) - 1.0) / 2.0
    sine = torch.linalg.matrix_norm(rotation - rotation.mT) / 8.0**0.5
    residual = (difference - rotation).square().sum(dim=(1, 2))
    angle: Tensor = torch.atan2(sine, cosine)
    return angle + residual_weight * residual


def _both(estimated: Tensor, true: Tensor | None) -> tuple[Tensor, Tensor]:
    check_shape('estimated', estimated, (None, 3, 3))
    estimated = at_least_float32(estimated)
    if true is None:
        identity = torch.eye(3, dtype=estimated.dtype, device=estimated.device)
        return estimated, identity.expand_as(estimated)
    check_shape('true', true, tuple(estimated.shape))
    return estimated, true.to(estimated.dtype)


class _NearestRotation(torch.autograd.Function):
    """P of a polar decomposition D = P H, with P a rotation and H symmetric."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        u, values, vh = torch.linalg.svd(matrices)
        side = torch.linalg.det(u @ vh).sign()
        flip = torch.ones_like(values)
        flip[:, 2] = side
        rotation: Tensor = (u * flip[:, None]) @ vh
        ctx.save_for_backward(rotation, values * flip, vh)
        return rotation

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # With P'dP = W, which is antisymmetric: W H + H W = P'dD - (P'dD)', solved in the basis
        # of H, where W_ij is divided by the sum of the values i and j.
        rotation, values, vh = ctx.saved_tensors
        turned = rotation.mT @ gradient
        basis = vh @ (turned - turned.mT) @ vh.mT / 2.0
        sums = (values[:, :, None] + values[:, None]).clamp(min=_SMALLEST_SUM)
        descent: Tensor = 2.0 * rotation @ (vh.mT @ (basis / sums) @ vh)
        return descent


def _nearest_rotation(matrices: Tensor) -> Tensor:
    rotation: Tensor = _NearestRotation.apply(matrices)  # type: ignore[no-untyped-call]
    return rotation
