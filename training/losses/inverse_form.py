# SPDX-License-Identifier: Apache-2.0
"""InverseForm: how far a network thinks that predicted boundaries lie from the true ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.uncertainty import IGNORE_INDEX
from training.losses.counts import MeanCount, shared_count
from training.losses.tiling import tiles_from_maps, tiling_size
from training.losses.transform_distance import parameter_distance
from training.tensor_checks import at_least_float32, check_shape


def inverse_form_loss(
    edge_logits: Tensor,
    edge_target: Tensor,
    network: Callable[[Tensor, Tensor], Tensor],
    *,
    tile: int,
    size: tuple[int, int] | None = None,
    distance: Callable[[Tensor], Tensor] = parameter_distance,
    min_edge_pixels: float = 0.0,
    sum_over_tiles: bool = False,
    ignore_index: int = IGNORE_INDEX,
    mean_count: MeanCount | None = None,
) -> Tensor:
    """Distance from the identity of the transforms between predicted and true boundary tiles.

    The map of the network is the sigmoid of its logits. The authors' code takes a log-softmax over
    the one channel instead, which is 0 everywhere and teaches nothing.

    Args:
        edge_logits: before the sigmoid, [batch, 1, height, width].
        edge_target: 1 on boundaries, 0 elsewhere, of any type, [batch, height, width].
        network: `network(predicted, true)` estimates the transform from true to predicted tiles,
            both [tiles, 1, tile, tile] of 0 to 1, as [tiles, parameters]. Freeze it: its weights
            must get no gradient.
        tile: side of a tile in pixels, >= 1.
        size: (height, width) that both maps are scaled to before they are cut; the nearest
            multiples of the tile if None. 672x1344 in the authors' code.
        distance: from `network`'s answer to [tiles].
        min_edge_pixels: a tile with fewer pixels of true boundary is left out; 0 keeps all.
        sum_over_tiles: add up the tiles of an image, as the paper has it; else their mean, as in
            the authors' code.
        ignore_index: target of pixels that are empty in both maps.
        mean_count: over the processes that share a batch, see `training.losses.counts`; the sum
            over tiles needs none.

    Returns:
        A scalar, 0 where all tiles are left out.

    Raises:
        ShapeError: shapes differ from that, or `size` is no multiple of the tile.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021.
    """
    check_shape('edge_logits', edge_logits, (None, 1, None, None))
    batch, _, height, width = edge_logits.shape
    check_shape('edge_target', edge_target, (batch, height, width))
    target = edge_target[:, None]
    probability = torch.sigmoid(at_least_float32(edge_logits))
    predicted = probability * (target != ignore_index).to(probability.dtype)
    true = (target == 1).to(probability.dtype)
    size = tiling_size((height, width), tile) if size is None else size
    tiles, true_tiles = (tiles_from_maps(_scaled(each, size), tile) for each in (predicted, true))
    # Autocast would multiply the matrices in half precision.
    with torch.autocast(edge_logits.device.type, enabled=False):
        distances = distance(network(tiles, true_tiles))
    kept = (true_tiles.sum(dim=(1, 2, 3)) >= min_edge_pixels).to(distances.dtype)
    total = (distances * kept).sum()
    return total / (batch if sum_over_tiles else shared_count(kept.sum(), mean_count))


def _scaled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, size, mode='bilinear', align_corners=False)
