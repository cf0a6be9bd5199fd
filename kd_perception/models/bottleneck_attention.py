# SPDX-License-Identifier: Apache-2.0
"""Residual blocks with self-attention over all positions in place of the 3x3 convolution.

Reference:
    A. Srinivas et al., "Bottleneck Transformers for Visual Recognition", CVPR 2021, with absolute
    in place of relative positions, as CEKD has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError


class SelfAttention(nn.Module):
    """Attention among all positions of a feature map, with learned row and column embeddings.

    Args:
        in_channels: channels of the input.
        size: (height, width) of the feature map.
        heads: parallel attentions.
        head_size: channels of one head.
    """

    def __init__(
        self, in_channels: int, size: tuple[int, int], *, heads: int, head_size: int
    ) -> None:
        """Create the projection and the embeddings."""
        super().__init__()
        self.heads, self.head_size = heads, head_size
        self.to_qkv = nn.Conv2d(in_channels, 3 * heads * head_size, 1, bias=False)
        height, width = size
        self.row_embedding = nn.Parameter(torch.randn(height, head_size) * head_size**-0.5)
        self.column_embedding = nn.Parameter(torch.randn(width, head_size) * head_size**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in_channels, height, width] to [batch, heads * head_size, height, width]."""
        batch, _, height, width = x.shape
        qkv = self.to_qkv(x).reshape(batch, 3, self.heads, self.head_size, height * width)
        query, key, value = qkv.transpose(-1, -2).unbind(1)
        positions = self.row_embedding[:, None] + self.column_embedding[None, :]
        # q k^T + q e^T = q (k + e)^T: the fused kernel then needs no bias.
        y = functional.scaled_dot_product_attention(query, key + positions.flatten(0, 1), value)
        return y.transpose(-1, -2).reshape(batch, -1, height, width)


class AttentionBlock(nn.Module):
    """Contraction, self-attention, expansion, and a shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of `heads` and of `contraction`.
        size: (height, width) of the input.
        downsample: halve the resolution.
        heads: parallel attentions; together they have `out_channels` channels.
        contraction: attention sees `out_channels / contraction` channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int],
        *,
        downsample: bool,
        heads: int,
        contraction: int,
    ) -> None:
        """Create the layers; the last normalization starts at zero, so the shortcut rules."""
        super().__init__()
        inner = out_channels // contraction
        self.contract = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.contract_norm = nn.BatchNorm2d(inner)
        self.attention = SelfAttention(inner, size, heads=heads, head_size=out_channels // heads)
        self.downsample = downsample
        self.attention_norm = nn.BatchNorm2d(out_channels)
        self.expand = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.expand_norm.weight)
        self.shortcut = _shortcut(in_channels, out_channels, downsample)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height, width], halved if it says so."""
        y = functional.relu(self.contract_norm(self.contract(x)))
        y = self.attention(y)
        if self.downsample:
            y = functional.avg_pool2d(y, 2)
        y = functional.relu(self.attention_norm(y))
        y = self.expand_norm(self.expand(y))
        return functional.relu(y + self.shortcut(x))


def _shortcut(in_channels: int, out_channels: int, downsample: bool) -> nn.Module:
    if in_channels == out_channels and not downsample:
        return nn.Identity()
    kernel_size, stride, padding = (3, 2, 1) if downsample else (1, 1, 0)
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


def check_attention(out_channels: int, *, blocks: int, heads: int, contraction: int) -> None:
    """Refuse sizes of an `AttentionStack` that do not fit together.

    Raises:
        ConfigError: they do not.
    """
    positive = min(blocks, heads, contraction) >= 1
    if not positive or out_channels % heads or out_channels % contraction:
        raise ConfigError(
            'blocks, heads and contraction of the attention must be >= 1, and the latter two must '
            f'divide its {out_channels} channels; got {blocks}, {heads} and {contraction}'
        )


class AttentionStack(nn.Module):
    """Attention blocks that stand in for the last layer of a ResNet; the first halves the size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of `heads` and of `contraction`.
        size: (height, width) of the input, even; inputs of other sizes are refused.
        blocks: >= 1.
        heads: parallel attentions, >= 1.
        contraction: attention sees `out_channels / contraction` channels, >= 1.

    Raises:
        ConfigError: the sizes do not fit together.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int],
        *,
        blocks: int = 3,
        heads: int = 4,
        contraction: int = 4,
    ) -> None:
        """Create the blocks."""
        super().__init__()
        check_attention(out_channels, blocks=blocks, heads=heads, contraction=contraction)
        if min(size) < 2 or size[0] % 2 or size[1] % 2:
            raise ConfigError(f'the size of the feature map must be even, got {size}')
        self.in_channels, self.size = in_channels, tuple(size)
        half = size[0] // 2, size[1] // 2
        self.blocks = nn.Sequential(
            *(
                AttentionBlock(
                    out_channels if k else in_channels,
                    out_channels,
                    half if k else size,
                    downsample=k == 0,
                    heads=heads,
                    contraction=contraction,
                )
                for k in range(blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in_channels, *size] to [batch, out_channels, height / 2, width / 2].

        Raises:
            ShapeError: another rank, size or number of channels.
        """
        if x.dim() != 4 or tuple(x.shape[1:]) != (self.in_channels, *self.size):
            raise ShapeError(
                'the input of the attention stage must be '
                f'[batch, {self.in_channels}, {self.size[0]}, {self.size[1]}], got '
                f'{list(x.shape)}: its position embeddings are of that size; build it for another'
            )
        y: Tensor = self.blocks(x)
        return y
