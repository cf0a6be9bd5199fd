# SPDX-License-Identifier: Apache-2.0
"""Wide ResNet-38, the encoder of EPS: pre-activated blocks, dilated, stride 8.

Names of the weights are those under which its ImageNet weights go around in PyTorch; the files
that were published first are those of MXNet, which `load_imagenet_weights` reads as well.

Reference:
    Z. Wu, C. Shen, A. van den Hengel, "Wider or Deeper: Revisiting the ResNet Model for Visual
    Recognition", Pattern Recognition 2019 (network A1). J. Ahn, S. Kwak, "Learning Pixel-Level
    Semantic Affinity with Image-Level Supervision", CVPR 2018 (its dilated form).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.frozen_normalization import FreezableNormalization
from kd_perception.models.mxnet_weights import read_resnet38_weights

_COUNTS = {'b2': 3, 'b3': 3, 'b4': 6, 'b5': 3}


@dataclass(frozen=True)
class ResNet38Config:
    """Sizes of a `ResNet38`.

    Args:
        base_width: channels of the first convolution, >= 1; 64 in the paper, and in weights from
            files. The features have 64 times as many.
        in_channels: channels of the image, >= 1.
        frozen: as in EPS, batch normalization keeps its statistics, scales and offsets, and the
            first convolution and the blocks b2 keep their weights. Weights from a file make sense
            of that; a network that starts from nothing must learn them.
    """

    base_width: int = 64
    in_channels: int = 3
    frozen: bool = True

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.base_width, self.in_channels) < 1:
            raise ConfigError(f'base_width and in_channels must be >= 1, got {self}')

    @property
    def channels(self) -> int:
        """Channels of the features."""
        return 64 * self.base_width


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after normalization and ReLU, and a shortcut.

    Args:
        in_channels: of the features that come in.
        middle: channels between the convolutions.
        out_channels: of the result.
        stride: of the first convolution.
        first_dilation: of the first convolution.
        dilation: of the second.
    """

    def __init__(
        self,
        in_channels: int,
        middle: int,
        out_channels: int,
        stride: int = 1,
        *,
        first_dilation: int = 1,
        dilation: int = 1,
    ) -> None:
        """Create the layers."""
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = _conv3x3(in_channels, middle, stride, first_dilation)
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = _conv3x3(middle, out_channels, 1, dilation)
        self.conv_branch1 = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height / stride, width / stride]."""
        y = functional.relu(self.bn_branch2a(x))
        shortcut = x if self.conv_branch1 is None else self.conv_branch1(y)
        y = functional.relu(self.bn_branch2b1(self.conv_branch2a(y)))
        sum_: Tensor = shortcut + self.conv_branch2b1(y)
        return sum_


class WideBottleneck(nn.Module):
    """1x1, dilated 3x3 and 1x1 convolutions with dropout between them, and a shortcut.

    Args:
        in_channels: of the features that come in.
        out_channels: of the result, a multiple of 4; a quarter and a half of it are in between.
        dilation: of the 3x3 convolution.
        dropout: share of channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, dilation: int, dropout: float
    ) -> None:
        """Create the layers."""
        super().__init__()
        quarter, half = out_channels // 4, out_channels // 2
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = nn.Conv2d(in_channels, quarter, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(quarter)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = _conv3x3(quarter, half, 1, dilation)
        self.bn_branch2b2 = nn.BatchNorm2d(half)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(half, out_channels, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height, width]."""
        y = functional.relu(self.bn_branch2a(x))
        shortcut = self.conv_branch1(y)
        y = functional.relu(self.bn_branch2b1(self.conv_branch2a(y)))
        y = functional.relu(self.bn_branch2b2(self.conv_branch2b1(self.dropout_2b1(y))))
        sum_: Tensor = shortcut + self.conv_branch2b2(self.dropout_2b2(y))
        return sum_


class ResNet38(FreezableNormalization):
    """An encoder from an image to features of an eighth of its size.

    Args:
        config: sizes.
    """

    def __init__(self, config: ResNet38Config) -> None:
        """Create the blocks; they are named as the weights from files are."""
        super().__init__()
        self.config = config
        width = config.base_width
        self.conv1a = _conv3x3(config.in_channels, width, 1, 1)
        self._add('b2', width, 2 * width, 2 * width, stride=2)
        self._add('b3', 2 * width, 4 * width, 4 * width, stride=2)
        self._add('b4', 4 * width, 8 * width, 8 * width, stride=2)
        self._add('b5', 8 * width, 8 * width, 16 * width, dilation=2)
        self.b6 = WideBottleneck(16 * width, 32 * width, dilation=4, dropout=0.3)
        self.b7 = WideBottleneck(32 * width, 64 * width, dilation=4, dropout=0.5)
        self.bn7 = nn.BatchNorm2d(64 * width)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        if config.frozen:
            self._freeze()

    def _add(
        self, name: str, first: int, middle: int, out: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        """Blocks of one size; only the very first convolution is neither dilated nor as wide."""
        self.add_module(name, WideBlock(first, middle, out, stride, dilation=dilation))
        for k in range(1, _COUNTS[name]):
            block = WideBlock(out, middle, out, first_dilation=dilation, dilation=dilation)
            self.add_module(f'{name}_{k}', block)

    def _freeze(self) -> None:
        for name, parameter in self.named_parameters():
            if name.startswith(('conv1a.', 'b2.', 'b2_')):
                parameter.requires_grad_(False)
        self.freeze_normalization()

    def forward(self, image: Tensor) -> Tensor:
        """Map [batch, in_channels, height, width] to [batch, channels, height / 8, width / 8]."""
        y = self.conv1a(image)
        for name, module in self.named_children():
            if name not in ('conv1a', 'bn7'):
                y = module(y)
        return functional.relu(self.bn7(y))

    def load_imagenet_weights(self, path: Path) -> None:
        """Take over the weights of a local file; the classifier in it is left out.

        Args:
            path: `.params` of MXNet, `.safetensors`, or a file of `torch.save`.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        self.load_state_dict(read_resnet38_weights(path, self.state_dict()))


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
