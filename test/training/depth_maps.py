# SPDX-License-Identifier: Apache-2.0
"""Maps of depth, uncertainty and coverage, and loops over their pixels, for tests of losses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from loss_properties import normal


class Maps(NamedTuple):
    """All [batch, 1, height, width], in float64 but for the mask."""

    depth_m: torch.Tensor
    log_sigma: torch.Tensor
    target_m: torch.Tensor
    valid: torch.Tensor


def maps(*shape, seed=0, share=0.5):
    """Depths of 1 to 50 m, sigma around 1; NaN and 0 as target where there is no measurement."""
    rng = np.random.default_rng(seed)
    shape = (shape[0], 1, *shape[1:])
    valid = torch.from_numpy(rng.random(shape) < share)
    unknown = torch.from_numpy(rng.choice([0.0, np.nan, np.inf], shape))
    target_m = torch.from_numpy(rng.uniform(1.0, 50.0, shape))
    return Maps(
        torch.from_numpy(rng.uniform(1.0, 50.0, shape)),
        normal(*shape, seed=seed + 1),
        torch.where(valid, target_m, unknown),
        valid,
    )


@st.composite
def drawn_maps(draw):
    """Maps of any small size, of which none, some or all pixels are covered."""
    size = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    share = draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    return maps(*size, seed=draw(st.integers(0, 2**20)), share=share)


def row(*values):
    """One image of one row, float64."""
    return torch.tensor(values, dtype=torch.float64)[None, None, None]


def mean_over_images(values, covered):
    """Mean over the covered pixels of every image, then over images, in NumPy."""
    means = [
        float(image[mask].mean()) if mask.any() else 0.0
        for image, mask in zip(np.asarray(values), np.asarray(covered), strict=True)
    ]
    return float(np.mean(means))


def gradients(loss, *tensors):
    """Gradient of each tensor, None where there is none."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    loss(*leaves).backward()
    return [leaf.grad for leaf in leaves]
