# SPDX-License-Identifier: Apache-2.0
"""The edge module of CEKD: class-agnostic edges from decoder features.

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023. The two inner modules are from
    Z. Su et al., "Pixel Difference Networks for Efficient Edge Detection", ICCV 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_DILATIONS = (5, 7, 9, 11)
_ATTENTION_WIDTH = 4


class DilatedContext(nn.Module):
    """CDCM: a 1x1 convolution, then the sum of four dilated 3x3 ones.

    The ReLU before it in the paper is left out: its input here is the output of a ReLU.
    """

    def __init__(self, channels: int) -> None:
        """Create the layers."""
        super().__init__()
        self.project = nn.Conv2d(channels, channels, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False) for d in _DILATIONS
        )
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [batch, channels, height, width]."""
        y = self.project(x)
        first, *rest = self.dilated
        total: Tensor = first(y)
        for conv in rest:
            total = total + conv(y)
        return total


class SpatialAttention(nn.Module):
    """CSAM: the input times one learned weight per position, 0 to 1."""

    def __init__(self, channels: int) -> None:
        """Create the layers."""
        super().__init__()
        self.reduce = nn.Conv2d(channels, _ATTENTION_WIDTH, 1)
        self.weigh = nn.Conv2d(_ATTENTION_WIDTH, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.reduce.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape [batch, channels, height, width]."""
        return x * torch.sigmoid(self.weigh(self.reduce(functional.relu(x))))


class EdgeModule(nn.Module):
    """ED: edge logits of a feature map.

    Logits, because a loss needs them to be stable: the paper's loss is binary cross-entropy of the
    logits. The authors' code applies the sigmoid twice; that loss takes `sigmoid(logits)` where
    logits belong.

    Args:
        channels: channels of the feature map.
    """

    def __init__(self, channels: int) -> None:
        """Create the layers."""
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        self.context = DilatedContext(channels)
        self.attention = SpatialAttention(channels)
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to [batch, 1, height, width]."""
        y = functional.relu(self.norm(self.conv(x)))
        y = self.attention(self.context(y))
        logits: Tensor = self.head(y)
        return logits
