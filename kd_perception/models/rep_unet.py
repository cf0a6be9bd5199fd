# SPDX-License-Identifier: Apache-2.0
"""A dense U-Net of re-parameterized 3x3 blocks whose decoder stops at a quarter of the input.

In training every block has three branches (3x3, 1x1 and identity, each with its batch
normalization); for inference they fold into one 3x3 convolution. Dense 3x3 convolutions whose
channels are multiples of 16 are what CPUs with wide dot products run fastest, and leaving the
logits at a quarter of the input keeps the large float tensors out of the graph. What the outputs
are is up to the number of them: scores of classes, or depth and its uncertainty.

Reference:
    X. Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.image_input import check_image_shape

STAGES = 5


@dataclass(frozen=True)
class RepUNetConfig:
    """Sizes of a `RepUNet`.

    Args:
        in_channels: channels of the input image, >= 1.
        out_channels: classes, or maps of another kind, >= 1.
        widths: channels of the five encoder stages; each stage halves the resolution.
        depths: blocks per stage, >= 1.
        decoder_width: channels of the decoder.
    """

    in_channels: int = 1
    out_channels: int = 9
    widths: tuple[int, ...] = (32, 64, 96, 160, 256)
    depths: tuple[int, ...] = (1, 2, 3, 4, 1)
    decoder_width: int = 64

    def __post_init__(self) -> None:
        """Check the sizes; lists become tuples."""
        object.__setattr__(self, 'widths', tuple(self.widths))
        object.__setattr__(self, 'depths', tuple(self.depths))
        if len(self.widths) != STAGES or len(self.depths) != STAGES:
            raise ConfigError(
                f'widths and depths must have {STAGES} entries, one per stage; '
                f'got {self.widths} and {self.depths}'
            )
        sizes = (self.in_channels, self.out_channels, self.decoder_width)
        if min(*sizes, *self.widths, *self.depths) < 1:
            raise ConfigError(f'every size of a RepUNetConfig must be >= 1, got {self}')

    @classmethod
    def preset(cls, name: str, **changes: Any) -> RepUNetConfig:
        """The sizes known as `name`.

        `rep_unet` (1.6 M weights) and `rep_unet_s` (0.7 M) segment thermal images. The same with
        `_depth`, `rep_unet_depth` and `rep_unet_depth_s`, see color and have two outputs: the
        natural logarithms of depth in meters and of its uncertainty.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        if name not in _PRESETS:
            raise ConfigError(f'network must be one of {sorted(_PRESETS)}, got {name!r}')
        return cls(**{**_PRESETS[name], **changes})

    def architecture(self) -> dict[str, Any]:
        """The description a student bundle stores; `build_network` reads it."""
        config = asdict(self)
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}
        return {'name': 'rep_unet', 'config': plain}


_LARGE = {'widths': (32, 64, 96, 160, 256), 'depths': (1, 2, 3, 4, 1), 'decoder_width': 64}
_SMALL = {'widths': (16, 32, 64, 128, 192), 'depths': (1, 1, 2, 3, 1), 'decoder_width': 32}
_DEPTH = {'in_channels': 3, 'out_channels': 2}
_PRESETS: dict[str, dict[str, Any]] = {
    'rep_unet': _LARGE,
    'rep_unet_s': _SMALL,
    'rep_unet_depth': {**_LARGE, **_DEPTH},
    'rep_unet_depth_s': {**_SMALL, **_DEPTH},
}


class ConvBatchNorm(nn.Module):
    """A convolution without bias, then batch normalization."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        """Create the two layers; the padding keeps the size at stride 1."""
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height / stride, width / stride]."""
        y: Tensor = self.norm(self.conv(x))
        return y


class RepBlock(nn.Module):
    """The training form of a block: 3x3, 1x1 and identity branches, summed, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        """Create the layers of the block."""
        super().__init__()
        self.conv3x3 = ConvBatchNorm(in_channels, out_channels, 3, stride)
        self.conv1x1 = ConvBatchNorm(in_channels, out_channels, 1, stride)
        keeps_shape = in_channels == out_channels and stride == 1
        self.identity = nn.BatchNorm2d(in_channels) if keeps_shape else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height / stride, width / stride]."""
        y = self.conv3x3(x) + self.conv1x1(x)
        if self.identity is not None:
            y = y + self.identity(x)
        return functional.relu(y)

    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        """The one 3x3 convolution that equals the three branches under frozen statistics."""
        kernel, bias = _fold(self.conv3x3.conv.weight, self.conv3x3.norm)
        pointwise = functional.pad(self.conv1x1.conv.weight, (1, 1, 1, 1))
        branches = [_fold(pointwise, self.conv1x1.norm)]
        if self.identity is not None:
            unit = torch.zeros_like(kernel)
            unit[range(len(unit)), range(len(unit)), 1, 1] = 1.0
            branches.append(_fold(unit, self.identity))
        for branch_kernel, branch_bias in branches:
            kernel, bias = kernel + branch_kernel, bias + branch_bias
        return kernel, bias


class FoldedBlock(nn.Module):
    """The inference form of a block: one 3x3 convolution, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        """Create the layers of the block."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in, height, width] to [batch, out, height / stride, width / stride]."""
        return functional.relu(self.conv(x))

    def load_folded(self, block: RepBlock) -> None:
        """Take over the folded weights of `block`."""
        kernel, bias = block.kernel_and_bias()
        self.conv.weight.copy_(kernel)
        self.conv.bias.copy_(bias)  # type: ignore[union-attr]


def _fold(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return kernel * gain[:, None, None, None], norm.bias - norm.running_mean * gain


class RepUNet(nn.Module):
    """Encoder of five stages, 1x1 laterals, additive skips, logits at a quarter of the input.

    Args:
        config: sizes.
        block: `RepBlock` to train, `FoldedBlock` to run; see `folded`.
    """

    def __init__(
        self, config: RepUNetConfig, block: Callable[[int, int, int], nn.Module] = RepBlock
    ) -> None:
        """Create the stages, laterals, smoothing blocks and the head."""
        super().__init__()
        self.config = config
        entries = (config.in_channels, *config.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(block(entry, width, 2), *(block(width, width, 1) for _ in range(n - 1)))
            for entry, width, n in zip(entries, config.widths, config.depths, strict=True)
        )
        decoder_width = config.decoder_width
        self.laterals = nn.ModuleList(nn.Conv2d(w, decoder_width, 1) for w in config.widths[1:])
        self.smooths = nn.ModuleList(block(decoder_width, decoder_width, 1) for _ in range(3))
        self.head = nn.Conv2d(decoder_width, config.out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of an image.

        Args:
            image: float [batch, in_channels, height, width]; height and width multiples of 32.

        Returns:
            float [batch, out_channels, height / 4, width / 4].

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        logits: Tensor = self.head(self.features(image))
        return logits

    def features(self, image: Tensor) -> Tensor:
        """What the head sees of an image.

        Args:
            image: as of `forward`.

        Returns:
            float of at least 0, [batch, decoder_width, height / 4, width / 4].

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        check_image_shape(image, self.config.in_channels)
        # Pixel by pixel (channels last), training ends torch 2.13 with a segmentation fault.
        y: Tensor = image.contiguous()
        features = []
        for stage in self.stages:
            y = stage(y)
            features.append(y)
        y = self.laterals[3](features[4])
        for level in (2, 1, 0):
            upsampled = functional.interpolate(y, scale_factor=2.0, mode='nearest')
            y = self.smooths[level](upsampled + self.laterals[level](features[level + 1]))
        return y

    @torch.no_grad()
    def folded(self) -> RepUNet:
        """The same function as an inference network in eval mode; this one stays as it is."""
        network = RepUNet(self.config, FoldedBlock)
        own = dict(self.named_modules())
        for name, module in network.named_modules():
            source = own.get(name)
            if isinstance(module, FoldedBlock) and isinstance(source, RepBlock):
                module.load_folded(source)
        network.laterals.load_state_dict(self.laterals.state_dict())
        network.head.load_state_dict(self.head.state_dict())
        return network.eval()
