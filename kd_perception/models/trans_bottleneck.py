# SPDX-License-Identifier: Apache-2.0
"""Decoder blocks of RTFNet: residual bottlenecks, the second of each stage upsampling.

Reference:
    Y. Sun et al., "RTFNet: RGB-Thermal Fusion Network for Semantic Segmentation of Urban Scenes",
    RA-L 2019.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class TransBottleneck(nn.Module):
    """Three convolutions and a shortcut; ReLU last.

    Args:
        in_channels: channels of the input; those of the output as well unless it upsamples.
        out_channels: channels of the output.
        upsample: double the resolution by transposed convolutions.
        last_relu: end with ReLU. The paper does so everywhere, in the class scores too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        upsample: bool = False,
        last_relu: bool = True,
    ) -> None:
        """Create the layers, Xavier-uniform."""
        super().__init__()
        self.last_relu = last_relu
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv3: nn.Conv2d | nn.ConvTranspose2d
        self.shortcut: nn.Module
        if upsample:
            self.conv3 = _doubling(out_channels, out_channels)
            self.shortcut = nn.Sequential(
                _doubling(in_channels, out_channels), nn.BatchNorm2d(out_channels)
            )
        else:
            self.conv3 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
            self.shortcut = nn.Identity()
        self.bn3 = nn.BatchNorm2d(out_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height, width], doubled if it says so."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.shortcut(x)
        return functional.relu(y) if self.last_relu else y


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 2, 2, bias=False)


def decoder_stage(in_channels: int, out_channels: int, *, last_relu: bool = True) -> nn.Sequential:
    """A block that keeps the shape, then one that doubles the resolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        last_relu: end with ReLU.
    """
    return nn.Sequential(
        TransBottleneck(in_channels, in_channels),
        TransBottleneck(in_channels, out_channels, upsample=True, last_relu=last_relu),
    )
