# SPDX-License-Identifier: Apache-2.0
"""Residual encoders of depth 18 to 152 whose state dict has the names of torchvision.

Reference:
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. The blocks with three
    convolutions stride in the 3x3 one, as the weights of torchvision expect.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.imagenet_weights import read_weights, weights_for_encoder

MAX_LAYERS = 4


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, *, dilation: int = 1
    ) -> None:
        """Create the layers; the output has `width` channels."""
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride, dilation=dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, width, height / stride, width / stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the output is four times as wide."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, *, dilation: int = 1
    ) -> None:
        """Create the layers; the output has `4 * width` channels."""
        super().__init__()
        out_channels = self.expansion * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, 4 width, height / stride, width / stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def conv3x3(
    in_channels: int, out_channels: int, stride: int = 1, *, dilation: int = 1
) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


_DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a `ResNet`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: channels of the image, >= 1.
        base_width: channels of the stem, >= 1; 64 in the paper, and in weights from files.
        layers: residual layers, 1 to 4; CEKD replaces the fourth.
    """

    depth: int = 50
    in_channels: int = 3
    base_width: int = 64
    layers: int = MAX_LAYERS

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.depth not in _DEPTHS:
            raise ConfigError(f'depth must be one of {list(_DEPTHS)}, got {self.depth!r}')
        if min(self.in_channels, self.base_width) < 1 or not 1 <= self.layers <= MAX_LAYERS:
            raise ConfigError(
                f'in_channels and base_width must be >= 1 and layers 1 to {MAX_LAYERS}, got {self}'
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the stem and of every layer."""
        block, _ = _DEPTHS[self.depth]
        widths = (self.base_width * 2**k for k in range(self.layers))
        return self.base_width, *(block.expansion * width for width in widths)


class ResNet(nn.Module):
    """A residual encoder without classifier.

    Stage 1 is the stem at half of the input; stage k + 1 is layer k, at 1 / 2^(k + 1).

    Args:
        config: sizes.
    """

    def __init__(self, config: ResNetConfig) -> None:
        """Create the stem and the layers."""
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.in_channels, config.base_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.base_width)
        for index in range(1, config.layers + 1):
            layer = residual_layer(
                config,
                index,
                in_channels=config.channels[index - 1],
                stride=1 if index == 1 else 2,
            )
            self.add_module(f'layer{index}', layer)
        draw_convolutions(self)

    def run_stage(self, stage: int, x: Tensor) -> Tensor:
        """Features of one stage.

        Args:
            stage: 1 to layers + 1.
            x: the image for stage 1, else the features of the stage before.

        Returns:
            float [batch, channels, height / 2^stage, width / 2^stage] of the image's size.
        """
        if stage == 1:
            return functional.relu(self.bn1(self.conv1(x)))
        if stage == 2:
            x = functional.max_pool2d(x, 3, 2, 1)
        y: Tensor = self.get_submodule(f'layer{stage - 1}')(x)
        return y

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of every stage.

        Args:
            image: float [batch, in_channels, height, width].
        """
        features, y = [], image
        for stage in range(1, self.config.layers + 2):
            y = self.run_stage(stage, y)
            features.append(y)
        return features

    def load_imagenet_weights(self, path: Path) -> None:
        """Take over the weights of a local file with the names of torchvision.

        A stem with one input channel gets the mean of the three kernels in the file, one for
        several color images the kernels divided by their number.

        Args:
            path: `.safetensors`, or a file of `torch.save`; a ResNet of this depth.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        self.load_state_dict(
            weights_for_encoder(read_weights(path), self.state_dict(), source=str(path))
        )


def residual_layer(
    config: ResNetConfig, index: int, *, in_channels: int, stride: int, dilation: int = 1
) -> nn.Sequential:
    """The blocks of one layer.

    Args:
        config: sizes.
        index: 1 to 4.
        in_channels: of the features that come in.
        stride: of the first block.
        dilation: of all 3x3 convolutions.
    """
    block, counts = _DEPTHS[config.depth]
    width, out_channels = config.base_width * 2 ** (index - 1), config.channels[index]
    first = block(in_channels, width, stride, dilation=dilation)
    rest = (block(out_channels, width, dilation=dilation) for _ in range(counts[index - 1] - 1))
    return nn.Sequential(first, *rest)


def draw_convolutions(network: nn.Module) -> None:
    """Start values of all convolutions of an encoder that is trained from scratch."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
