# SPDX-License-Identifier: Apache-2.0
"""How the branches of HRNet exchange what they know.

Reference:
    J. Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", TPAMI
    2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.models.resnet import BasicBlock


class Exchange(nn.Module):
    """Residual blocks on every branch, then every branch is the sum of all, brought to its size.

    Args:
        channels: of the branches, finest first.
        blocks: per branch.
    """

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        """Create the blocks and what brings branches to each other's sizes."""
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in channels
        )
        branches = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            with_gaps([_fusion(channels, source, target) for source in branches])
            for target in branches
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Keeps the shapes of the maps, one per branch."""
        maps = [branch(y) for branch, y in zip(self.branches, maps, strict=True)]
        fused = []
        for own, layers in zip(maps, self.fuse_layers, strict=True):
            assert isinstance(layers, nn.ModuleList)
            parts = [
                y if y is own else enlarged(layer(y), own.shape[2:])
                for y, layer in zip(maps, layers, strict=True)
            ]
            fused.append(functional.relu(torch.stack(parts).sum(dim=0)))
        return fused


def enlarged(y: Tensor, size: Sequence[int]) -> Tensor:
    """A map at a size, bilinear; the map itself where it has it."""
    if tuple(y.shape[2:]) == tuple(size):
        return y
    return functional.interpolate(y, list(size), mode='bilinear', align_corners=False)


def with_gaps(modules: Sequence[nn.Module | None]) -> nn.ModuleList:
    """A list that may lack modules; names count them, as in the authors' weights."""
    return nn.ModuleList(modules)  # type: ignore[arg-type]


def _fusion(channels: Sequence[int], source: int, target: int) -> nn.Module | None:
    """From one branch to the channels of another, and to its size where that is smaller."""
    if source == target:
        return None
    if source > target:
        convolution = nn.Conv2d(channels[source], channels[target], 1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(channels[target]))
    own, last = channels[source], target - source - 1
    halvings = [halving(own, own, relu=True) for _ in range(last)]
    return nn.Sequential(*halvings, halving(own, channels[target], relu=False))


def halving(in_channels: int, out_channels: int, *, relu: bool) -> nn.Sequential:
    """A convolution that halves the resolution, normalized."""
    return nn.Sequential(*unit(in_channels, out_channels, 2), *([nn.ReLU()] if relu else []))


def unit(in_channels: int, out_channels: int, stride: int) -> tuple[nn.Module, ...]:
    """A 3x3 convolution and its normalization."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
    return convolution, nn.BatchNorm2d(out_channels)
