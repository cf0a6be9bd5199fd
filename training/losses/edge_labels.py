# SPDX-License-Identifier: Apache-2.0
"""Edge maps to learn from: drawn from labels, and brought to a quarter of the resolution.

Edges of labels say nothing that the labels do not say. Where edges are to be a privilege of the
teacher, what only it can see, take `image_edges`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.uncertainty import IGNORE_INDEX
from training.tensor_checks import check_shape

Pooling = Literal['max', 'nearest']


def edge_labels(label: Tensor, *, radius: float = 2.0, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Pixels near which there is another class; which classes meet is not told.

    A pixel is on an edge if another one not farther than the radius, inside the image, has another
    label. Pairs with an ignored pixel do not count, so that what is ignored has no outline.

    Args:
        label: class ids, any integer type, [batch, height, width].
        radius: Euclidean, in pixels, at least 1: 1 marks the two pixels that meet. CEKD tells
            neither its radius nor at which resolution it draws; 2 at that of the label is ours.
        ignore_index: label of pixels that belong to no class.

    Returns:
        uint8 [batch, height, width], 1 on edges and 0 elsewhere, also where ignored.

    Raises:
        ShapeError: the label has another shape or type.
        ConfigError: the radius is below 1.

    Reference:
        Y. Hu, Y. Chen, X. Li, J. Feng, "Dynamic Feature Fusion for Semantic Edge Detection",
        IJCAI 2019, whose seg2edge draws the edges of CEKD.
    """
    check_shape('label', label, (None, None, None))
    if label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
        raise ShapeError(f'label must hold integers, the class ids, received {label.dtype}')
    if not 1.0 <= radius < math.inf:
        raise ConfigError(f'radius must be at least 1 pixel and finite, received {radius}')
    height, width = label.shape[1:]
    known = label.long() != ignore_index  # a byte would be compared with the number modulo 256
    edges = torch.zeros_like(known)
    for down, right in _half_disk(radius, height, width):
        here = (slice(None), slice(0, height - down), slice(max(-right, 0), width - max(right, 0)))
        there = (slice(None), slice(down, None), slice(max(right, 0), width + min(right, 0)))
        meet = (label[here] != label[there]) & known[here] & known[there]
        edges[here] |= meet
        edges[there] |= meet
    return edges.to(torch.uint8)


def _half_disk(radius: float, height: int, width: int) -> Iterator[tuple[int, int]]:
    """Steps (down, right) that meet each pair of pixels of an image once."""
    reach = math.floor(radius)
    for down in range(min(reach, height - 1) + 1):
        span = min(math.floor(math.sqrt(radius * radius - down * down)), width - 1)
        for right in range(-span if down else 1, span + 1):
            yield down, right


def shrink_edges(edges: Tensor, *, factor: int = 4, pooling: Pooling = 'max') -> Tensor:
    """An edge map at a lower resolution, where edge decoders predict.

    Args:
        edges: uint8, 1 on edges, 0 elsewhere, [batch, height, width].
        factor: that both sizes are divided by, >= 1.
        pooling: `max` takes the largest of the pixels that become one, so that no edge is lost,
            and 255 (not known) wins. `nearest` takes the one in their middle, (2, 2) of 4x4 as
            Pillow does for CEKD's loader: three quarters of an outline one pixel wide are lost.

    Returns:
        uint8 [batch, height / factor, width / factor].

    Raises:
        ShapeError: the map has another shape or type.
        ConfigError: another pooling.
    """
    check_shape('edges', edges, (None, None, None))
    if edges.dtype != torch.uint8:
        raise ShapeError(f'edges must be uint8 of 0 and 1, received {edges.dtype}')
    if edges.shape[1] % factor or edges.shape[2] % factor:
        raise ShapeError(
            f'height and width of edges must be multiples of {factor}, received '
            f'{list(edges.shape)}: crop or pad before'
        )
    if pooling == 'nearest':
        return edges[:, factor // 2 :: factor, factor // 2 :: factor]
    if pooling == 'max':
        return functional.max_pool2d(edges[:, None].float(), factor)[:, 0].to(torch.uint8)
    raise ConfigError(f"pooling must be 'max' or 'nearest', received {pooling!r}")
