# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of a network's weights and statistics."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, step: int, decay: float) -> None:
    """Move `average` towards `network`; early steps move it faster, so that it starts well.

    Args:
        average: changed in place, including its batch statistics.
        network: the trained network.
        step: finished steps, >= 0.
        decay: share of the average that stays, 0 to 1, reached after about 20 / (1 - decay) steps.
    """
    kept = min(decay, (step + 1) / (step + 20))
    current = network.state_dict()
    done: set[int] = set()  # a part that two others share stands there under both names
    for name, value in average.state_dict().items():
        if value.data_ptr() in done:
            continue
        done.add(value.data_ptr())
        if value.is_floating_point():
            value.lerp_(current[name], 1.0 - kept)
        else:
            value.copy_(current[name])
