# SPDX-License-Identifier: Apache-2.0
"""PSPNet, teacher (depth 101) and student (depth 18) of channel-wise distillation.

Reference:
    H. Zhao, J. Shi, X. Qi, X. Wang, J. Jia, "Pyramid Scene Parsing Network", CVPR 2017.
    C. Shu, Y. Liu, J. Gao, Z. Yan, C. Shen, "Channel-Wise Knowledge Distillation for Dense
    Prediction", ICCV 2021, whose code these networks follow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.dilated_resnet import DilatedResNet
from kd_perception.models.resnet import ResNetConfig

POOL_SIZES = (1, 2, 3, 6)
TEACHER_DEPTH = 101
STUDENT_DEPTH = 18
DROPOUT = 0.1

_LEAK = 0.01
_PRESETS: dict[str, dict[str, Any]] = {'paper': {}, 'tiny': {'base_width': 8}}


@dataclass(frozen=True)
class PSPNetConfig:
    """Sizes of a `PSPNet`.

    Args:
        depth: of the ResNet: 18 (the student), 34, 50, 101 (the teacher) or 152.
        in_channels: channels of the image, >= 1.
        out_channels: classes, >= 1; 19 on Cityscapes.
        base_width: channels of the first convolution, >= 4; every other width follows from it: the
            head has a quarter of the channels of the last layer, 512 with depth 101 and 128 with
            18.
        ceil_pooling: maps are 65x65 for images of 512x512, as in the code, which upsamples
            them with aligned corners; otherwise 64x64.
    """

    depth: int = STUDENT_DEPTH
    in_channels: int = 3
    out_channels: int = 19
    base_width: int = 64
    ceil_pooling: bool = True

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.out_channels < 1 or self.base_width < 4:
            raise ConfigError(
                'out_channels must be >= 1 and base_width >= 4, '
                f'got {self.out_channels} and {self.base_width}'
            )
        self.encoder_config()

    @classmethod
    def preset(cls, name: str, **changes: Any) -> PSPNetConfig:
        """The sizes known as `name`: `paper` or `tiny`, an eighth as wide.

        With 19 classes and depth 18 or 101 they have 13.07 M and 70.44 M weights, or 0.21 M and
        1.12 M.

        Args:
            name: of the preset.
            changes: fields that shall differ from it, as the depth.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        if name not in _PRESETS:
            raise ConfigError(f'network must be one of {sorted(_PRESETS)}, got {name!r}')
        return cls(**{**_PRESETS[name], **changes})

    def encoder_config(self) -> ResNetConfig:
        """The part that is a ResNet."""
        return ResNetConfig(self.depth, self.in_channels, self.base_width)

    @property
    def head_channels(self) -> int:
        """Channels of the features after pyramid pooling, and of the auxiliary head."""
        return self.encoder_config().channels[-1] // 4

    def architecture(self) -> dict[str, Any]:
        """The description that `build_network` reads."""
        return {'name': 'pspnet', 'config': asdict(self)}


class PSPNetOutput(NamedTuple):
    """What `PSPNet` gives, at an eighth of the image: nothing is upsampled.

    Attributes:
        logits: class scores [batch, out_channels, height / 8, width / 8].
        features: what the last convolution sees, after pyramid pooling and, in training, dropout,
            [batch, head_channels, height / 8, width / 8].
        auxiliary_logits: class scores from the third layer; None in eval mode.
    """

    logits: Tensor
    features: Tensor
    auxiliary_logits: Tensor | None


class PyramidPooling(nn.Module):
    """Means over 1, 4, 9 and 36 parts of a map, merged with it.

    Args:
        in_channels: of the map.
        out_channels: of each branch and of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Create the branches and what merges them."""
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(size),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.LeakyReLU(_LEAK),
            )
            for size in POOL_SIZES
        )
        merged = in_channels + len(POOL_SIZES) * out_channels
        self.merge = nn.Sequential(
            nn.Conv2d(merged, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(_LEAK),
            nn.Dropout2d(DROPOUT),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in_channels, height, width] to [batch, out_channels, height, width]."""
        maps = [
            functional.interpolate(branch(x), x.shape[2:], mode='bilinear', align_corners=True)
            for branch in self.branches
        ]
        y: Tensor = self.merge(torch.cat([*maps, x], dim=1))
        return y


class PSPNet(nn.Module):
    """A dilated ResNet, pyramid pooling, and heads after the last and the third layer.

    Args:
        config: sizes.
    """

    def __init__(self, config: PSPNetConfig) -> None:
        """Create the encoder and the heads."""
        super().__init__()
        self.config = config
        encoder = config.encoder_config()
        width = config.head_channels
        self.encoder = DilatedResNet(encoder, ceil_pooling=config.ceil_pooling)
        self.pyramid = PyramidPooling(encoder.channels[-1], width)
        self.head = nn.Conv2d(width, config.out_channels, 1)
        self.auxiliary = nn.Sequential(
            nn.Conv2d(encoder.channels[-2], width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(_LEAK),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(width, config.out_channels, 1),
        )

    def forward(self, image: Tensor) -> PSPNetOutput:
        """Class scores and what a student learns from.

        Args:
            image: float [batch, in_channels, height, width] of any size. In training the batch has
                at least two images: the mean over a whole map leaves one value per channel.

        Raises:
            ShapeError: wrong rank or channels, or one image in training.
        """
        self._check(image)
        third, fourth = self.encoder(image)
        features = self.pyramid(fourth)
        auxiliary = self.auxiliary(third) if self.training else None
        return PSPNetOutput(self.head(features), features, auxiliary)

    def _check(self, image: Tensor) -> None:
        if image.dim() != 4 or image.shape[1] != self.config.in_channels:
            raise ShapeError(
                f'the input must be [batch, {self.config.in_channels}, height, width], '
                f'got {list(image.shape)}'
            )
        if self.training and len(image) < 2:
            raise ShapeError(
                'training needs a batch of at least 2 images, got 1: batch normalization after '
                'the mean over a whole map would see one value per channel'
            )

    def load_imagenet_weights(self, path: Path) -> tuple[str, ...]:
        """Start the encoder from a local file; see `DilatedResNet.load_imagenet_weights`.

        Returns:
            Names of the convolutions of the encoder that keep their start values.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        return self.encoder.load_imagenet_weights(path)
