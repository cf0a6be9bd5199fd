# SPDX-License-Identifier: Apache-2.0
"""Counts that a loss divides by, where several processes share a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MeanCount = Callable[[Tensor], Tensor]
"""The mean of a count over the processes that share a batch, such as `counts_of_all` gives.

Each process divides the sum over its images by it. The mean of these quotients, which is what
averaged gradients follow, is then the loss of the whole batch, however its pixels are shared out.
"""


def shared_count(count: Tensor, mean_count: MeanCount | None) -> Tensor:
    """A count of this process, or its mean over all; 1 in place of 0.

    Args:
        count: at least 0, of any shape.
        mean_count: None where one process has the whole batch.
    """
    mean = count if mean_count is None else mean_count(count)
    return torch.where(mean > 0, mean, torch.ones_like(mean))
