# SPDX-License-Identifier: Apache-2.0
"""Classifiers whose scores are means of class maps: EPS, and CAM as it is held against.

Both put a 1x1 convolution without bias on the features. CAM has one map per class, EPS one more,
for the background, and learns from the maps themselves too. The score of a class is the mean of
its raw map.

Reference:
    B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016. S. Lee, M.
    Lee, J. Lee, H. Shim, "Railroad is not a Train: Saliency as Pseudo-pixel Supervision for Weakly
    Supervised Semantic Segmentation", CVPR 2021. P. Pinheiro, R. Collobert, "From Image-level to
    Pixel-level Labeling with Convolutional Networks", CVPR 2015 (log-sum-exp).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.resnet38 import ResNet38, ResNet38Config

NETWORKS = {'small': 16, 'resnet38': 64}
"""Encoders and their base widths where none is given."""

HEADS = ('eps', 'cam')
POOLINGS = ('mean', 'log_sum_exp')


class ClassMapOutput(NamedTuple):
    """What a classifier says of a batch.

    Attributes:
        scores: of the classes, raw, [batch, classes].
        maps: raw, [batch, classes, h, w]; one more, the background, at the end with EPS.
    """

    scores: Tensor
    maps: Tensor


@dataclass(frozen=True)
class ClassMapConfig:
    """Sizes of a `ClassMapNet`.

    Args:
        network: `resnet38`, at an eighth of the image, or `small`, seven convolutions at a
            quarter, which a processor can train.
        head: `eps` or `cam`.
        classes: without background, >= 1.
        in_channels: 3 for color, 1 for heat.
        base_width: of the encoder, >= 1; 0 for that of `NETWORKS`.
        frozen: of `resnet38`, see `ResNet38Config`.
        dropout: of the features before the head, 0 to below 1; 0.5 for CAM in the authors' code,
            0 for EPS.
        pooling: `mean` (both papers), or `log_sum_exp`, between mean and maximum, for things that
            are small in the image.
        sharpness: of `log_sum_exp`, above 0; the larger, the nearer to the maximum.
    """

    network: str = 'small'
    head: str = 'eps'
    classes: int = 20
    in_channels: int = 3
    base_width: int = 0
    frozen: bool = True
    dropout: float = 0.0
    pooling: str = 'mean'
    sharpness: float = 5.0

    def __post_init__(self) -> None:
        """Check names and ranges."""
        for name, known in (
            ('network', tuple(NETWORKS)), ('head', HEADS), ('pooling', POOLINGS),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        if min(self.classes, self.in_channels) < 1 or self.base_width < 0:
            raise ConfigError(
                f'classes and in_channels must be >= 1 and base_width >= 0, got {self}'
            )
        if not 0.0 <= self.dropout < 1.0 or not 0.0 < self.sharpness < math.inf:
            raise ConfigError(
                'dropout must be 0 to below 1 and sharpness above 0, got '
                f'{self.dropout} and {self.sharpness}'
            )

    @property
    def width(self) -> int:
        """Base width of the encoder."""
        return self.base_width or NETWORKS[self.network]

    @property
    def maps(self) -> int:
        """Number of maps."""
        return self.classes + (self.head == 'eps')

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of a map."""
        return 4 if self.network == 'small' else 8


class SmallEncoder(nn.Sequential):
    """Seven convolutions, two of them with stride 2 and two dilated: features at a quarter.

    Args:
        in_channels: of the image.
        base_width: of the first convolution; the features have four times as many channels.
    """

    def __init__(self, in_channels: int, base_width: int) -> None:
        """Create the layers."""
        wide, wider = 2 * base_width, 4 * base_width
        plan = (
            (in_channels, base_width, 2, 1),
            (base_width, base_width, 1, 1),
            (base_width, wide, 2, 1),
            (wide, wide, 1, 1),
            (wide, wider, 1, 1),
            (wider, wider, 1, 2),
            (wider, wider, 1, 4),
        )
        layers: list[nn.Module] = []
        for entry, out, stride, dilation in plan:
            conv = nn.Conv2d(entry, out, 3, stride, dilation, dilation, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
            layers += [conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        super().__init__(*layers)
        self.channels = wider


class ClassMapNet(nn.Module):
    """An encoder and a 1x1 convolution to the maps.

    Args:
        config: sizes.
    """

    def __init__(self, config: ClassMapConfig) -> None:
        """Create encoder and head."""
        super().__init__()
        self.config = config
        self.encoder: SmallEncoder | ResNet38
        if config.network == 'small':
            self.encoder = SmallEncoder(config.in_channels, config.width)
            channels = self.encoder.channels
        else:
            sizes = ResNet38Config(config.width, config.in_channels, config.frozen)
            self.encoder, channels = ResNet38(sizes), sizes.channels
        self.head = nn.Conv2d(channels, config.maps, 1, bias=False)
        nn.init.xavier_uniform_(self.head.weight)

    def forward(self, image: Tensor) -> ClassMapOutput:
        """Scores and maps of a batch.

        Args:
            image: float [batch, in_channels, height, width], of any size.

        Raises:
            ShapeError: wrong rank or channels.
        """
        if image.dim() != 4 or image.shape[1] != self.config.in_channels:
            raise ShapeError(
                f'the input must be [batch, {self.config.in_channels}, height, width], got '
                f'{list(image.shape)}'
            )
        features = functional.dropout(self.encoder(image), self.config.dropout, self.training)
        maps = self.head(features)
        return ClassMapOutput(self._pooled(maps)[:, : self.config.classes], maps)

    def _pooled(self, maps: Tensor) -> Tensor:
        flat = maps.float().flatten(2)
        if self.config.pooling == 'mean':
            return flat.mean(dim=2)
        sharp = self.config.sharpness
        return (torch.logsumexp(sharp * flat, dim=2) - math.log(flat.shape[2])) / sharp

    def load_imagenet_weights(self, path: Path) -> None:
        """Weights of the encoder from a local file, see `ResNet38.load_imagenet_weights`.

        Raises:
            ConfigError: the encoder is small, or the file does not fit.
        """
        if not isinstance(self.encoder, ResNet38):
            raise ConfigError(
                f'weights from a file must be of resnet38, the network is {self.config.network}'
            )
        self.encoder.load_imagenet_weights(path)
