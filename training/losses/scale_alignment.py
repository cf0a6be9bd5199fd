# SPDX-License-Identifier: Apache-2.0
"""Depth that is known up to a factor, brought to the scale of depth in meters."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from training.losses.covered import check_maps
from training.tensor_checks import at_least_float32, check_option

Alignment = Literal['none', 'median']


class Aligned(NamedTuple):
    """Depth after the alignment.

    Attributes:
        depth: [batch, 1, height, width].
        ratio: of each image the median of reference / depth before the alignment, [batch], without
            gradient; 1 where nothing is covered. Worth a log: it tells whether a branch has found
            the scale by itself.
    """

    depth: Tensor
    ratio: Tensor


def align_scale(
    depth: Tensor, reference_m: Tensor, valid: Tensor, *, align: Alignment = 'none'
) -> Aligned:
    """Multiply the depth of each image by the median of reference / depth over covered pixels.

    A branch that learns from a single moving camera knows depth up to a factor; teach the
    supervised branch its aligned depth. How the paper handles scale is not public. By default
    nothing is aligned, since distillation from the supervised branch brings the scale, too.

    Args:
        depth: of the branch without scale, [batch, 1, height, width].
        reference_m: depth of the branch with scale, or what was measured, of the same shape; gets
            no gradient.
        valid: bool of the same shape, the covered pixels. Those where either depth is not above 0
            and finite are left out.
        align: `none` returns the depth as it is, and the ratio all the same.

    Returns:
        Depth, with its gradient, and ratio.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.
        ConfigError: another alignment.
    """
    check_option('align', align, get_args(Alignment))
    check_maps(valid, depth=depth, reference_m=reference_m)
    with torch.no_grad():
        quotient = at_least_float32(reference_m) / at_least_float32(depth)
        known = valid & (depth > 0.0) & (quotient > 0.0) & torch.isfinite(quotient)
        quotient = quotient.masked_fill(~known, torch.nan).flatten(1)
        ratio = torch.nan_to_num(torch.nanquantile(quotient, 0.5, dim=1), nan=1.0)
    if align == 'none':
        return Aligned(depth, ratio)
    return Aligned(depth * ratio.reshape(-1, 1, 1, 1), ratio)
