# SPDX-License-Identifier: Apache-2.0
"""A U-Net that tells depth and how uncertain it is: one residual encoder, two decoders.

The encoder and each of the decoders are those of Monodepth2. Mutual distillation gives the
uncertainty a decoder of its own, where others add one channel to the decoder of the depth.

Reference:
    C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
    J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular Depth
    Estimation", ICRA 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.image_input import (
    INPUT_MULTIPLE,
    check_image_shape,
    normalized_image,
)
from kd_perception.models.resnet import ResNet, ResNetConfig

SCALES = 4
"""Maps per decoder; map k is at 1 / 2^k of the image."""

STAGES = 5

WIDTH_PRESETS: dict[str, dict[str, Any]] = {
    'paper': {},
    'small': {'base_width': 32},
    'tiny': {'base_width': 16},
}
"""Sizes by name; `paper` is what the defaults say."""


@dataclass(frozen=True)
class MonodepthUNetConfig:
    """Sizes of a `MonodepthUNet`, and the depths that its disparities stand for.

    Args:
        in_channels: channels of the image, >= 1.
        encoder_depth: of the ResNet: 18, 34, 50, 101 or 152.
        base_width: channels of the stem, a multiple of 4; every other width follows from it.
        min_depth_m: depth where the disparity is 1, > 0.
        max_depth_m: depth where the disparity is 0, > min_depth_m.
        min_sigma: added to every sigma, >= 0: where there is no error at all, as between two views
            of the same white, the likelihood of ever smaller ones has no limit. 0 in the paper.
    """

    in_channels: int = 3
    encoder_depth: int = 18
    base_width: int = 64
    min_depth_m: float = 0.1
    max_depth_m: float = 100.0
    min_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.base_width < 4 or self.base_width % 4:
            raise ConfigError(f'base_width must be a multiple of 4, got {self.base_width}')
        if not 0.0 < self.min_depth_m < self.max_depth_m:
            raise ConfigError(
                'depths must be 0 < min_depth_m < max_depth_m, '
                f'got {self.min_depth_m} and {self.max_depth_m} m'
            )
        if not 0.0 <= self.min_sigma < math.inf:
            raise ConfigError(f'min_sigma must be >= 0, got {self.min_sigma}')
        _ = self.encoder  # its own check

    @classmethod
    def preset(cls, name: str, **changes: Any) -> MonodepthUNetConfig:
        """The sizes known as `name`: `paper`, `small` or `tiny`.

        They have 17.48 M, 4.38 M and 1.10 M weights.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        return cls(**{**preset_widths(name), **changes})

    @property
    def encoder(self) -> ResNetConfig:
        """Sizes of the encoder."""
        return ResNetConfig(self.encoder_depth, self.in_channels, self.base_width)

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        """Channels of the decoder at the size of the image and at 1/2 to 1/16 of it."""
        return tuple(self.base_width // 4 * 2**k for k in range(STAGES))

    def architecture(self) -> dict[str, Any]:
        """The description that `build_network` reads."""
        return {'name': 'monodepth_unet', 'config': asdict(self)}


def preset_widths(name: str) -> dict[str, Any]:
    """The arguments known as `name`.

    Raises:
        ConfigError: `name` is not a preset.
    """
    if name not in WIDTH_PRESETS:
        raise ConfigError(f'network must be one of {sorted(WIDTH_PRESETS)}, got {name!r}')
    return WIDTH_PRESETS[name]


class MonodepthOutput(NamedTuple):
    """What `MonodepthUNet` gives, each a tuple of four maps: [batch, 1, height, width] / 2^k.

    Attributes:
        disparities: 0 (max_depth_m) to 1 (min_depth_m), linear in inverse depth.
        log_sigmas: natural logarithm of the scale of the error that the loss divides by it: of
            meters where depth is supervised, of the photometric error where it is not. Any number.
    """

    disparities: tuple[Tensor, ...]
    log_sigmas: tuple[Tensor, ...]


class MonodepthUNet(nn.Module):
    """A residual encoder shared by a decoder of disparity and a decoder of uncertainty.

    Args:
        config: sizes.
    """

    def __init__(self, config: MonodepthUNetConfig) -> None:
        """Create the parts."""
        super().__init__()
        self.config = config
        self.encoder = ResNet(config.encoder)
        self.disparity_decoder = Decoder(config.encoder.channels, config.decoder_channels)
        self.sigma_decoder = Decoder(config.encoder.channels, config.decoder_channels)

    def forward(self, image: Tensor) -> MonodepthOutput:
        """Disparity and uncertainty at four scales.

        Args:
            image: float [batch, in_channels, height, width], 0 to 1; height and width multiples of
                32 and at least 64.

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        # Below 64 the deepest features are one pixel, which has no neighbor to be mirrored.
        check_image_shape(image, self.config.in_channels, smallest_side=2 * INPUT_MULTIPLE)
        features = self.encoder(normalized_image(image))
        disparities = tuple(torch.sigmoid(y) for y in self.disparity_decoder(features))
        return MonodepthOutput(disparities, self._log_sigmas(features))

    def _log_sigmas(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.sigma_decoder(features)
        if not self.config.min_sigma:
            return maps
        least = math.log(self.config.min_sigma)
        return tuple(torch.logaddexp(y, torch.full_like(y, least)) for y in maps)

    def load_imagenet_weights(self, path: Path) -> None:
        """Start the encoder from a local file; see `ResNet.load_imagenet_weights`.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        self.encoder.load_imagenet_weights(path)


class Decoder(nn.Module):
    """Five stages that double the resolution, the encoder's features beside their own.

    Stage k, from 4 down to 0, starts at 1 / 2^(k + 1) of the image and ends at 1 / 2^k.

    Args:
        encoder_channels: of the features, from 1/2 to 1/32 of the image.
        channels: of stages 0 to 4.
    """

    def __init__(self, encoder_channels: Sequence[int], channels: Sequence[int]) -> None:
        """Create the stages and a head for each map."""
        super().__init__()
        entries = (*channels[1:], encoder_channels[-1])
        skips = (0, *encoder_channels[:-1])
        self.narrow = nn.ModuleList(map(_block, entries, channels))
        self.merge = nn.ModuleList(
            _block(width + skip, width) for width, skip in zip(channels, skips, strict=True)
        )
        self.heads = nn.ModuleList(_conv3x3(width, 1) for width in channels[:SCALES])

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of scales 0 to 3 without a last activation, from the features of the encoder."""
        y, maps = features[-1], []
        for stage in range(STAGES - 1, -1, -1):
            y = functional.interpolate(self.narrow[stage](y), scale_factor=2.0, mode='nearest')
            if stage > 0:
                y = torch.cat([y, features[stage - 1]], 1)
            y = self.merge[stage](y)
            if stage < SCALES:
                maps.append(self.heads[stage](y))
        return tuple(reversed(maps))


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(_conv3x3(in_channels, out_channels), nn.ELU())


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode='reflect')
