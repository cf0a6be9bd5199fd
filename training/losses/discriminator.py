# SPDX-License-Identifier: Apache-2.0
"""A network that tells class scores of a teacher from those of a student.

Reference:
    H. Zhang, I. Goodfellow, D. Metaxas, A. Odena, "Self-Attention Generative Adversarial
    Networks", ICML 2019, as the code of channel-wise distillation has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from kd_perception.errors import ConfigError, ShapeError
from training.tensor_checks import check_shape

_KERNEL = 4
_LEAK = 0.1
_CONTRACTION = 8


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a `Discriminator`.

    Args:
        in_channels: classes of the score maps, >= 1.
        base_width: channels of the first level, >= 8; every level doubles them; 64 in the code.
        levels: how often the resolution is halved, >= 2; 4 in the code, for maps of 65x65. Height
            and width of a map must be at least 4 * 2^levels.
    """

    in_channels: int
    base_width: int = 64
    levels: int = 4

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.in_channels < 1 or self.base_width < 8 or self.levels < 2:
            raise ConfigError(
                f'in_channels must be >= 1, base_width >= 8 and levels >= 2, received {self}'
            )

    @property
    def least_size(self) -> int:
        """Least height and width of a map."""
        return _KERNEL << self.levels


class Discriminator(nn.Module):
    """Strided convolutions, self-attention after the last two of them, and one score per image.

    Convolutions but the last are divided by their largest singular value, and scores of a class
    are normalized over the batch before, as in the code.

    Args:
        config: sizes.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Create the levels and the head."""
        super().__init__()
        self.config = config
        self.norm = nn.BatchNorm2d(config.in_channels)
        widths = (config.in_channels, *(config.base_width * 2**k for k in range(config.levels)))
        self.levels = nn.ModuleList(
            spectral_norm(nn.Conv2d(widths[k], widths[k + 1], _KERNEL, 2, 1))
            for k in range(config.levels)
        )
        self.attentions = nn.ModuleList(PlaceAttention(width) for width in widths[-2:])
        self.head = nn.Conv2d(widths[-1], 1, _KERNEL)

    def forward(self, logits: Tensor) -> Tensor:
        """How much the maps look like those of the teacher.

        Args:
            logits: float [batch, in_channels, height, width].

        Returns:
            Unbounded scores [batch]; where the head sees several places, their mean.

        Raises:
            ShapeError: wrong rank or channels, or maps too small.
        """
        check_shape('logits', logits, (None, self.config.in_channels, None, None))
        if min(logits.shape[2:]) < self.config.least_size:
            raise ShapeError(
                f'height and width must be at least {self.config.least_size} with '
                f'{self.config.levels} levels, received {list(logits.shape[2:])}'
            )
        y = self.norm(logits)
        plain = len(self.levels) - len(self.attentions)
        for index, level in enumerate(self.levels):
            y = functional.leaky_relu(level(y), _LEAK)
            if index >= plain:
                y = self.attentions[index - plain](y)
        scores: Tensor = self.head(y).mean(dim=(1, 2, 3))
        return scores


class PlaceAttention(nn.Module):
    """Attention of all places of a small map to one another, which starts as the identity.

    The products are written out: the gradient penalty needs second derivatives, which the fused
    kernels do not have.

    Args:
        channels: >= 8.
    """

    def __init__(self, channels: int) -> None:
        """Create the projections and the gain, which is 0."""
        super().__init__()
        self.query = nn.Conv2d(channels, channels // _CONTRACTION, 1)
        self.key = nn.Conv2d(channels, channels // _CONTRACTION, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to the same shape."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        attention = torch.bmm(query.transpose(1, 2), key).softmax(dim=2)
        attended = torch.bmm(value, attention.transpose(1, 2))
        y: Tensor = self.gain * attended.view_as(x) + x
        return y
