# SPDX-License-Identifier: Apache-2.0
"""The photometric error of every scale of a depth network, each at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ShapeError
from training.disparity import depth_from_sigmoid
from training.geometry import warp
from training.losses.minimum_reprojection import (
    Reprojection,
    identity_error,
    minimum_reprojection,
)
from training.tensor_checks import at_least_float32, check_shape


class SourceView(NamedTuple):
    """Another view of the scene: of the other camera of a pair, or of another time.

    Attributes:
        image: floats of 0 to 1, [batch, channels, height, width].
        source_from_target: pose, [batch, 4, 4]: `stereo_pose`, or what a pose network says.
        matrix: intrinsic matrix [batch, 3, 3]; None: that of the target.
    """

    image: Tensor
    source_from_target: Tensor
    matrix: Tensor | None = None


def multi_scale_reprojection(
    sigmoids: Sequence[Tensor],
    image: Tensor,
    sources: Sequence[SourceView],
    matrix: Tensor,
    *,
    auto_mask: bool = True,
    ignore_unseen: bool = False,
    generator: torch.Generator | None = None,
    ssim_weight: float = 0.85,
    min_depth_m: float = 0.1,
    max_depth_m: float = 100.0,
) -> list[Reprojection]:
    """Draw every source by the depth of every scale; the least error per pixel and scale.

    Each scale is brought to the size of the image before it becomes depth, so that a coarse one
    is judged by the same pixels as a fine one. The loss is the mean over the scales of
    `photometric_loss` or `uncertain_photometric_loss` (with `at_full_size` of its log sigmas).

    Args:
        sigmoids: network outputs of 0 (farthest) to 1 (nearest), one per scale, each [batch, 1,
            height of the scale, width of the scale].
        image: of the target, floats of 0 to 1, [batch, channels, height, width], not augmented.
        sources: at least one.
        matrix: intrinsic matrix of the target at the size of the image, [batch, 3, 3].
        auto_mask: whether pixels that stand still are left out.
        ignore_unseen: whether points outside a source, or behind it, do not count for it.
            Monodepth2 compares them with the source's border.
        generator: of the noise of the auto-mask, see `identity_error`.
        ssim_weight: see `photometric_error`.
        min_depth_m: of the sigmoid's 1.
        max_depth_m: of the sigmoid's 0.

    Returns:
        One `Reprojection` per scale, in their order, all at the size of the image.

    Raises:
        ShapeError: shapes differ from that, or there is no scale or source.
        ConfigError: not 0 < min_depth_m < max_depth_m.

    Reference:
        C. Godard, O. Mac Aodha, M. Firman, G. Brostow, "Digging Into Self-Supervised Monocular
        Depth Estimation" (Monodepth2), ICCV 2019.
    """
    check_shape('image', image, (None, None, None, None))
    unmoved = None
    if auto_mask:
        unmoved = identity_error(
            image,
            [view.image for view in sources],
            generator=generator,
            ssim_weight=ssim_weight,
        )
    found = []
    for sigmoid in at_full_size(sigmoids, (image.shape[-2], image.shape[-1])):
        depth_m = depth_from_sigmoid(sigmoid, min_depth_m=min_depth_m, max_depth_m=max_depth_m)
        views = [
            warp(view.image, depth_m, view.source_from_target, matrix, source_matrix=view.matrix)
            for view in sources
        ]
        seen = [view.valid for view in views] if ignore_unseen else None
        warped = [view.image for view in views]
        found.append(
            minimum_reprojection(
                image, warped, unmoved=unmoved, seen=seen, ssim_weight=ssim_weight
            )
        )
    return found


def at_full_size(maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Maps of several scales [batch, channels, any, any] bilinearly at one (height, width).

    In float32 or a finer type.

    Raises:
        ShapeError: a map has other dimensions, or there is none.
    """
    if not maps:
        raise ShapeError('maps must be at least one scale, received none')
    for level in maps:
        check_shape('map', level, (None, None, None, None))
    return [
        functional.interpolate(at_least_float32(level), size, mode='bilinear', align_corners=False)
        for level in maps
    ]
