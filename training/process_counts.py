# SPDX-License-Identifier: Apache-2.0
"""Counts over all processes that share a batch; `training.losses.counts` says what for."""

from __future__ import annotations

import torch
from torch import Tensor, distributed

from training.distributed import Fabric
from training.losses import MeanCount


def counts_of_all(fabric: Fabric) -> MeanCount | None:
    """What gives a count of this process as its mean over all; None with one process.

    All processes must ask alike and in the same order, as they do in `losses` of `fit`.
    """
    if fabric.world_size == 1:
        return None

    @torch.no_grad()
    def mean_count(count: Tensor) -> Tensor:
        total = count.detach().clone()
        distributed.all_reduce(total)
        return total / fabric.world_size

    return mean_count
