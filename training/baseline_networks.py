# SPDX-License-Identifier: Apache-2.0
"""Networks of others that see heat alone, which CEKD's student is held against.

Both are trained by the same recipe and are for experiments only: a bundle cannot hold them.

`UNet` has the widths, the depth and the joined skips of its paper. Otherwise than there its
convolutions are padded, so that scores are as large as the image, and normalized over the batch,
and there is no dropout.

`ThermalMFNet` has one of the two encoders of MFNet, that of the thermal image, with its widths and
its mini-inception blocks, and a decoder of these widths with added skips. Its scores come from a
convolution alone, without normalization and activation.

Reference:
    O. Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation",
    MICCAI 2015. Q. Ha et al., "MFNet: Towards Real-Time Semantic Segmentation for Autonomous
    Vehicles with Multi-Spectral Scenes", IROS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError

INPUT_MULTIPLE = 16

_LEAK = 0.1

Sizes = TypeVar('Sizes', bound='BaselineConfig')


class BaselineOutput(NamedTuple):
    """What a baseline gives: class scores [batch, out_channels, height, width], unbounded."""

    logits: Tensor


@dataclass(frozen=True)
class BaselineConfig:
    """Sizes of a baseline.

    Args:
        base_width: channels of the first convolution; every other width follows from it.
        out_channels: classes, >= 1.
    """

    base_width: int
    out_channels: int = 9

    PRESETS: ClassVar[dict[str, int]]
    """Base width by name; `tiny` has about as many weights as EKNet's preset of that name."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.base_width, self.out_channels) < 1:
            raise ConfigError(
                'base_width and out_channels must be >= 1, '
                f'got {self.base_width} and {self.out_channels}'
            )

    @classmethod
    def preset(cls: type[Sizes], name: str, **changes: Any) -> Sizes:
        """The sizes known as `name`, one of `PRESETS`.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        if name not in cls.PRESETS:
            raise ConfigError(f'network must be one of {sorted(cls.PRESETS)}, got {name!r}')
        return cls(**{'base_width': cls.PRESETS[name], **changes})


class UNetConfig(BaselineConfig):
    """Sizes of a `UNet`: `paper` has 31.04 M weights, `tiny` 0.92 M."""

    PRESETS: ClassVar[dict[str, int]] = {'paper': 64, 'tiny': 11}

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at 1/1 to 1/16 of the image."""
        return tuple(self.base_width * 2**k for k in range(5))


class MFNetConfig(BaselineConfig):
    """Sizes of a `ThermalMFNet`: `paper` has 0.08 M weights, `tiny` 0.87 M."""

    PRESETS: ClassVar[dict[str, int]] = {'paper': 16, 'tiny': 52}

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at 1/1 to 1/16 of the image: 16, 16, 16, 36 and 36 in the paper."""
        deep = 2 * (self.base_width * 9 // 8)
        return self.base_width, self.base_width, self.base_width, deep, deep


class UNet(nn.Module):
    """Four halvings, four doublings; each doubling joins the channels from its way down.

    Args:
        config: sizes.
    """

    def __init__(self, config: UNetConfig) -> None:
        """Create the stages."""
        super().__init__()
        self.config = config
        widths = config.channels
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            [_double(1, widths[0]), *(_double(above, below) for above, below in pairs)]
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, 2) for above, below in reversed(pairs)
        )
        self.up = nn.ModuleList(_double(2 * above, above) for above, _ in reversed(pairs))
        self.classify = nn.Conv2d(widths[0], config.out_channels, 1)

    def forward(self, image: Tensor) -> BaselineOutput:
        """Class scores.

        Args:
            image: float [batch, 1, height, width], 0 to 1, sides multiples of 16.

        Raises:
            ShapeError: wrong rank, channels or sides.
        """
        check_thermal(image)
        y, skips = self.down[0](image), []
        for stage in self.down[1:]:
            skips.append(y)
            y = stage(functional.max_pool2d(y, 2))
        for enlarge, stage in zip(self.enlarge, self.up, strict=True):
            y = stage(torch.cat([skips.pop(), enlarge(y)], dim=1))
        return BaselineOutput(self.classify(y))


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two convolutions, each with batch normalization and ReLU."""
    return nn.Sequential(
        _convolution(in_channels, out_channels, nn.ReLU(inplace=True)),
        _convolution(out_channels, out_channels, nn.ReLU(inplace=True)),
    )


def _convolution(
    in_channels: int, out_channels: int, activation: nn.Module, *, dilation: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        activation,
    )


class DilatedPair(nn.Module):
    """A convolution and a dilated one side by side; each gives half of the channels.

    Args:
        in_channels: of the input.
        out_channels: of both together, even.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Create both."""
        super().__init__()
        self.near = _leaky(in_channels, out_channels // 2)
        self.far = _leaky(in_channels, out_channels // 2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height, width]."""
        return torch.cat([self.near(x), self.far(x)], dim=1)


class ThermalMFNet(nn.Module):
    """Four halvings, the last two stages with dilation; skips are added on the way up.

    Args:
        config: sizes.
    """

    def __init__(self, config: MFNetConfig) -> None:
        """Create the stages."""
        super().__init__()
        self.config = config
        widths = config.channels
        self.down = nn.ModuleList(
            [
                _leaky(1, widths[0]),
                *(_leaky_pair(widths[k - 1], widths[k]) for k in (1, 2)),
                *(_mini_inception(widths[k - 1], widths[k]) for k in (3, 4)),
            ]
        )
        self.up = nn.ModuleList(_leaky(widths[k], widths[k - 1]) for k in (3, 2, 1))
        self.classify = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> BaselineOutput:
        """Class scores; arguments and errors as of `UNet`."""
        check_thermal(image)
        y, skips = self.down[0](image), []
        for stage in self.down[1:]:
            y = stage(functional.max_pool2d(y, 2))
            skips.append(y)
        y = skips.pop()
        for stage in self.up:
            y = stage(_doubled(y) + skips.pop())
        return BaselineOutput(self.classify(_doubled(y)))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)


def _leaky(in_channels: int, out_channels: int, *, dilation: int = 1) -> nn.Sequential:
    activation = nn.LeakyReLU(_LEAK, inplace=True)
    return _convolution(in_channels, out_channels, activation, dilation=dilation)


def _leaky_pair(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(_leaky(in_channels, out_channels), _leaky(out_channels, out_channels))


def _mini_inception(in_channels: int, out_channels: int) -> nn.Sequential:
    widths = (in_channels, out_channels, out_channels)
    return nn.Sequential(*(DilatedPair(width, out_channels) for width in widths))


def check_thermal(image: Tensor) -> None:
    """Refuse an image that cannot be halved four times, or is none of one channel.

    Raises:
        ShapeError: it is not [batch, 1, height, width] with sides that are multiples of 16.
    """
    if image.dim() != 4 or image.shape[1] != 1 or any(s % INPUT_MULTIPLE for s in image.shape[2:]):
        raise ShapeError(
            f'the input must be [batch, 1, height, width], sides multiples of {INPUT_MULTIPLE}, '
            f'got {list(image.shape)}'
        )
