# SPDX-License-Identifier: Apache-2.0
"""DeepLab-V2: a dilated ResNet, the sum of four dilated classifiers, and several scales at once.

EPS trains it on its pseudo-masks. Normalization keeps its statistics, scales and offsets where
`frozen`. The blocks stride in their 3x3 convolution, as the weights of torchvision expect, while
the weights of the original stride in the first 1x1.

Reference:
    L.-C. Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous
    Convolution, and Fully Connected CRFs", TPAMI 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.frozen_normalization import FreezableNormalization
from kd_perception.models.resnet import ResNet, ResNetConfig

OUTPUT_STRIDE = 8


class DeepLabOutput(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logits: the largest score of all scales for each class and cell, [batch, out_channels,
            height / 8, width / 8].
        pyramid: scores of each scale, the full one first, each at its own resolution.
    """

    logits: Tensor
    pyramid: tuple[Tensor, ...]


@dataclass(frozen=True)
class DeepLabConfig:
    """Sizes of a `DeepLab`.

    Args:
        depth: of the ResNet: 101 in the paper.
        base_width: of the ResNet.
        in_channels: of the image.
        out_channels: classes, >= 1.
        rates: dilations of the classifiers, at least one.
        scales: of the image that are looked at beside the full one, above 0; none for a plain
            network.
        frozen: normalization keeps what it has; makes sense of weights from a file.
    """

    depth: int = 101
    base_width: int = 64
    in_channels: int = 3
    out_channels: int = 21
    rates: tuple[int, ...] = (6, 12, 18, 24)
    scales: tuple[float, ...] = (0.5, 0.75)
    frozen: bool = True

    def __post_init__(self) -> None:
        """Check the ranges; lists become tuples."""
        object.__setattr__(self, 'rates', tuple(self.rates))
        object.__setattr__(self, 'scales', tuple(self.scales))
        if not self.rates or min(*self.rates, self.out_channels) < 1:
            raise ConfigError(
                'rates must be at least one, and they and out_channels >= 1, got '
                f'{self.rates} and {self.out_channels}'
            )
        if not all(scale > 0.0 for scale in self.scales):
            raise ConfigError(f'scales must be above 0, got {self.scales}')
        self.encoder()

    def encoder(self) -> ResNetConfig:
        """Sizes of the ResNet."""
        return ResNetConfig(self.depth, self.in_channels, self.base_width)


class DeepLab(FreezableNormalization):
    """An encoder at an eighth of the image, and classifiers of several reaches.

    Args:
        config: sizes.
    """

    def __init__(self, config: DeepLabConfig) -> None:
        """Create the encoder, dilate its last two layers, and create the classifiers."""
        super().__init__()
        self.config = config
        self.encoder = ResNet(config.encoder())
        dilate(self.encoder.get_submodule('layer3'), 2)
        dilate(self.encoder.get_submodule('layer4'), 4)
        channels = config.encoder().channels[-1]
        self.classifiers = nn.ModuleList(
            nn.Conv2d(channels, config.out_channels, 3, 1, rate, rate) for rate in config.rates
        )
        for name, parameter in self.classifiers.named_parameters():
            nn.init.normal_(parameter, std=0.0 if name.endswith('bias') else 0.01)
        if config.frozen:
            self.freeze_normalization()

    def forward(self, image: Tensor) -> DeepLabOutput:
        """Scores of a batch [batch, in_channels, height, width] of any size of at least 16."""
        full = self._scores(image)
        pyramid, logits = [full], full
        for scale in self.config.scales:
            size = [round(scale * side) for side in image.shape[2:]]
            smaller = functional.interpolate(image, size, mode='bilinear', align_corners=False)
            pyramid.append(self._scores(smaller))
            same = functional.interpolate(
                pyramid[-1], full.shape[2:], mode='bilinear', align_corners=False
            )
            logits = torch.maximum(logits, same)
        return DeepLabOutput(logits, tuple(pyramid))

    def _scores(self, image: Tensor) -> Tensor:
        features = self.encoder(image)[-1]
        scores: Tensor = sum(classifier(features) for classifier in self.classifiers)
        return scores

    def load_imagenet_weights(self, path: Path) -> None:
        """Weights of the encoder from a local file, see `ResNet.load_imagenet_weights`."""
        self.encoder.load_imagenet_weights(path)


def dilate(layer: nn.Module, dilation: int) -> None:
    """Let a layer of a ResNet keep the resolution, and its 3x3 convolutions reach further.

    Args:
        layer: whose strides become 1; changed in place.
        dilation: of its 3x3 convolutions.
    """
    for module in layer.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        module.stride = (1, 1)
        if module.kernel_size == (3, 3):
            module.dilation = module.padding = (dilation, dilation)
