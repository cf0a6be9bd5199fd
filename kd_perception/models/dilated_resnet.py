# SPDX-License-Identifier: Apache-2.0
"""Residual encoders at an eighth of the image, with a stem of three convolutions.

Reference:
    H. Zhao, J. Shi, X. Qi, X. Wang, J. Jia, "Pyramid Scene Parsing Network", CVPR 2017.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.imagenet_weights import (
    read_weights,
    weights_for_encoder,
    without_unfit,
)
from kd_perception.models.resnet import (
    MAX_LAYERS,
    ResNetConfig,
    conv3x3,
    draw_convolutions,
    residual_layer,
)

STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
"""Of layers 1 to 4: the last two see as far as with a stride, but keep the resolution."""

_UNLIKE_TORCHVISION = (
    ('conv1', 'bn1'),
    ('conv2', 'bn2'),
    ('conv3', 'bn3'),
    ('layer1.0.conv1', 'layer1.0.bn1'),
    ('layer1.0.downsample.0', 'layer1.0.downsample.1'),
)


class DilatedResNet(nn.Module):
    """A residual encoder whose last three layers are at an eighth of the image.

    The stem has three 3x3 convolutions and twice the base width. Layers have the names of
    torchvision, those of the stem the names that are usual for it: conv1, bn1 to conv3, bn3.

    Args:
        config: sizes; all four layers.
        ceil_pooling: the pooling of the stem has a last place beyond an even number of them, so
            that a side of n pixels, a multiple of 8, ends with n / 8 + 1 places, at the pixels 0,
            8 to n.
    """

    def __init__(self, config: ResNetConfig, *, ceil_pooling: bool = True) -> None:
        """Create the stem and the layers."""
        super().__init__()
        if config.layers != MAX_LAYERS:
            raise ConfigError(f'layers must be {MAX_LAYERS} with dilation, got {config.layers}')
        self.config, width = config, config.base_width
        self.conv1, self.bn1 = conv3x3(config.in_channels, width, 2), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv3x3(width, 2 * width), nn.BatchNorm2d(2 * width)
        self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=ceil_pooling)
        entries = (2 * width, *config.channels[1:-1])
        layers = (
            residual_layer(config, k, in_channels=entry, stride=stride, dilation=dilation)
            for k, entry, stride, dilation in zip(
                range(1, MAX_LAYERS + 1), entries, STRIDES, DILATIONS, strict=True
            )
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        draw_convolutions(self)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features of layers 3 and 4.

        Args:
            image: float [batch, in_channels, height, width].

        Returns:
            Both [batch, channels, height / 8, width / 8], or a place more: see `ceil_pooling`.
        """
        y = functional.relu(self.bn1(self.conv1(image)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = functional.relu(self.bn3(self.conv3(y)))
        y = self.layer2(self.layer1(self.maxpool(y)))
        third: Tensor = self.layer3(y)
        return third, self.layer4(third)

    def load_imagenet_weights(self, path: Path) -> tuple[str, ...]:
        """Take over the weights of a local file with the names of torchvision, where they fit.

        A file of torchvision has a stem of one convolution, which does not fit, nor does what
        follows it: these stay as they are. Files for this stem fit as a whole. A stem with one
        input channel gets the mean of the three kernels of its first convolution.

        Args:
            path: `.safetensors`, or a file of `torch.save`; a ResNet of this depth.

        Returns:
            Names of the convolutions that keep their start values.

        Raises:
            ConfigError: the file cannot be read, or other weights do not fit.
        """
        weights, expected = read_weights(path), self.state_dict()
        stem = weights.get('conv1.weight')
        if stem is not None and stem.dim() == 4 and self.config.in_channels == 1:
            weights['conv1.weight'] = stem.mean(dim=1, keepdim=True)
        weights, unfit = without_unfit(weights, expected, _UNLIKE_TORCHVISION)
        self.load_state_dict(weights_for_encoder(weights, expected, source=str(path)))
        return unfit
