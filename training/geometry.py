# SPDX-License-Identifier: Apache-2.0
"""Differentiable view synthesis: what a neighboring camera saw, drawn into this camera's image.

Everything is batch first and keeps pixel centers at whole numbers, as the intrinsic matrices of
this package do. The *target* is the view whose depth is known, the *source* the view that is
looked up. Poses are named `b_from_a`: they take points of frame a to frame b. For a stereo pair
the right view is brought to the left by `stereo_pose(baseline_m)`, for video by
`source_from_target`, and the way back by `inverse_pose` of it with the other view's depth (see
`training.poses`).

Coordinates are computed in float32 (or float64 where that is given) even under autocast, because
bfloat16 counts pixels in steps of four beyond column 512.

Reference:
    M. Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015 (differentiable sampling).
    C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.tensor_checks import at_least_float32, check_shape

Padding = Literal['zeros', 'border']

NEAR_M = 1e-3
"""Points closer to the camera plane than this, or behind it, are not seen."""

_EDGE_PX = 1e-2
"""Rounding must not push the outermost pixels out of view."""


class Warped(NamedTuple):
    """A source image seen from the target camera.

    Attributes:
        image: [batch, channels, height, width].
        valid: bool [batch, 1, height, width]: the depth is known, the point is in front of the
            source camera and inside its image. Occlusion is not looked at.
    """

    image: Tensor
    valid: Tensor


def pixel_grid(height: int, width: int, like: Tensor | None = None) -> Tensor:
    """Homogeneous coordinates (column, row, 1) of all pixel centers, [3, height, width].

    Args:
        height: rows.
        width: columns.
        like: tensor whose device and type the result takes; else float32 on the CPU.
    """
    dtype = torch.float32 if like is None else like.dtype
    device = None if like is None else like.device
    rows = torch.arange(height, dtype=dtype, device=device)
    columns = torch.arange(width, dtype=dtype, device=device)
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    return torch.stack([x, y, torch.ones_like(x)])


def back_project(depth_m: Tensor, inverse_matrix: Tensor) -> Tensor:
    """The point of every pixel in the camera's frame, [batch, 3, height, width] in meters.

    Args:
        depth_m: along the optical axis, [batch, 1, height, width].
        inverse_matrix: inverse of the intrinsic matrix, [batch, 3, 3].

    Raises:
        ShapeError: shapes other than these.
    """
    check_shape('depth_m', depth_m, (None, 1, None, None))
    check_shape('inverse_matrix', inverse_matrix, (depth_m.shape[0], 3, 3))
    depth_m = at_least_float32(depth_m)
    grid = pixel_grid(depth_m.shape[-2], depth_m.shape[-1], like=depth_m)
    return depth_m * _apply(inverse_matrix, grid[None])


def transform_points(points: Tensor, target_from_source: Tensor) -> Tensor:
    """Points [batch, 3, height, width] moved by rigid poses [batch, 4, 4].

    Raises:
        ShapeError: shapes other than these.
    """
    check_shape('points', points, (None, 3, None, None))
    check_shape('target_from_source', target_from_source, (points.shape[0], 4, 4))
    shift = at_least_float32(target_from_source)[:, :3, 3, None, None]
    return _apply(target_from_source[:, :3, :3], points) + shift


def project(points: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Where a camera sees points.

    Args:
        points: in the camera's frame, [batch, 3, height, width].
        matrix: intrinsic matrix, [batch, 3, 3].

    Returns:
        Columns and rows [batch, 2, height, width] in pixels, and depths [batch, 1, height, width]
        in meters. Pixels of points at depths below `NEAR_M` mean nothing and pass no gradient to
        the depth.

    Raises:
        ShapeError: shapes other than these.
    """
    check_shape('points', points, (None, 3, None, None))
    check_shape('matrix', matrix, (points.shape[0], 3, 3))
    depth_m = at_least_float32(points)[:, 2:]
    rays = at_least_float32(points)[:, :2] / depth_m.clamp(min=NEAR_M)
    return _apply(matrix, torch.cat([rays, torch.ones_like(depth_m)], 1))[:, :2], depth_m


def sample(image: Tensor, pixels: Tensor, *, padding: Padding = 'border') -> Tensor:
    """Bilinear look-up at columns and rows in pixels.

    Args:
        image: [batch, channels, height, width].
        pixels: [batch, 2, rows, columns].
        padding: beyond the image: 'border' repeats its edge, 'zeros' fades to zero in one pixel.

    Returns:
        [batch, channels, rows, columns].

    Raises:
        ShapeError: shapes other than these.
        ConfigError: another padding.
    """
    check_shape('image', image, (None, None, None, None))
    check_shape('pixels', pixels, (image.shape[0], 2, None, None))
    if padding not in ('zeros', 'border'):
        raise ConfigError(f"padding must be 'zeros' or 'border', received {padding!r}")
    # With align_corners=False -1 and 1 are the outer edges of the outermost pixels, which lie at
    # -0.5 and width - 0.5 here; unlike the other convention that holds for a single column too.
    size = pixels.new_tensor([image.shape[-1], image.shape[-2]])[None, :, None, None]
    grid = ((2.0 * pixels + 1.0) / size - 1.0).permute(0, 2, 3, 1)
    with torch.autocast(image.device.type, enabled=False):
        return functional.grid_sample(
            image.to(grid.dtype), grid, mode='bilinear', padding_mode=padding, align_corners=False
        )


def warp(
    image: Tensor,
    depth_m: Tensor,
    source_from_target: Tensor,
    matrix: Tensor,
    *,
    source_matrix: Tensor | None = None,
    padding: Padding = 'border',
) -> Warped:
    """Draw the source image as the target camera would have seen it (an inverse warp).

    Gradients flow to the image, the depth, the pose and the matrices.

    Args:
        image: of the source, [batch, channels, source height, source width].
        depth_m: of the target, [batch, 1, height, width]; 0 or less where unknown.
        source_from_target: pose, [batch, 4, 4].
        matrix: intrinsic matrix of the target, [batch, 3, 3].
        source_matrix: of the source where it differs.
        padding: as in `sample`.

    Returns:
        The image and where it is valid, at the size of the depth.

    Raises:
        ShapeError: shapes other than these.
        ConfigError: another padding.
    """
    points = back_project(depth_m, torch.linalg.inv(at_least_float32(matrix)))
    points = transform_points(points, source_from_target)
    pixels, source_depth_m = project(points, matrix if source_matrix is None else source_matrix)
    valid = in_view(pixels, source_depth_m, (image.shape[-2], image.shape[-1])) & (depth_m > 0.0)
    return Warped(sample(image, pixels, padding=padding), valid)


def in_view(pixels: Tensor, depth_m: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Whether points are in front of a camera and between its outermost pixel centers.

    Args:
        pixels: columns and rows, [batch, 2, height, width].
        depth_m: from the camera, [batch, 1, height, width].
        image_size: (height, width) of the camera's image.

    Returns:
        bool [batch, 1, height, width].
    """
    last = pixels.new_tensor([image_size[1] - 1, image_size[0] - 1])[None, :, None, None]
    inside = (pixels >= -_EDGE_PX) & (pixels <= last + _EDGE_PX)
    return inside.all(1, keepdim=True) & (depth_m > NEAR_M)


def _apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Matrices [batch, 3, 3] times vectors [batch or 1, 3, height, width]."""
    dtype = torch.promote_types(at_least_float32(matrix).dtype, at_least_float32(vectors).dtype)
    flat = vectors.flatten(2).to(dtype)
    with torch.autocast(vectors.device.type, enabled=False):
        moved = matrix.to(dtype) @ flat
    return moved.reshape(-1, 3, *vectors.shape[2:])
