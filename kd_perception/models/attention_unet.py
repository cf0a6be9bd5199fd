# SPDX-License-Identifier: Apache-2.0
"""What the teacher and the student of CEKD share: sizes, encoder and decoder.

Five encoder stages at 1/2 to 1/32 of the image, the last of them self-attention, and five decoder
stages back up. Stage k of either works at the same resolution: its output for the encoder, its
input for the decoder.

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.bottleneck_attention import AttentionStack, check_attention
from kd_perception.models.image_input import INPUT_MULTIPLE
from kd_perception.models.resnet import ResNet, ResNetConfig
from kd_perception.models.trans_bottleneck import decoder_stage

STAGES = 5
HINT_STAGE = 3
"""Decoder stage whose output the student imitates."""

SIZE_PRESETS: dict[str, dict[str, Any]] = {
    'paper': {},
    'small': {'image_size': (192, 256), 'encoder_depth': 18, 'base_width': 32},
    'tiny': {'image_size': (192, 256), 'encoder_depth': 18, 'base_width': 16},
}
"""Sizes by name; `paper` is what the defaults say."""


@dataclass(frozen=True)
class AttentionUNetConfig:
    """Sizes of the encoder and the decoder.

    Args:
        image_size: (height, width), multiples of 32; the attention is built for it.
        out_channels: classes, >= 1.
        encoder_depth: of the ResNet: 18, 34, 50, 101 or 152. The last of its layers gives way to
            the attention.
        base_width: channels of the stem, even; every other width follows from it.
        attention_blocks: >= 1.
        attention_heads: parallel attentions.
        attention_contraction: the attention sees its output channels divided by this.
        nonnegative_logits: the decoder ends with ReLU, as in the paper. Without it a score may
            fall below zero, where ReLU has no gradient.
    """

    image_size: tuple[int, int] = (480, 640)
    out_channels: int = 9
    encoder_depth: int = 50
    base_width: int = 64
    attention_blocks: int = 3
    attention_heads: int = 4
    attention_contraction: int = 4
    nonnegative_logits: bool = True

    def __post_init__(self) -> None:
        """Check the sizes; lists become tuples."""
        object.__setattr__(self, 'image_size', tuple(self.image_size))
        size = self.image_size
        if len(size) != 2 or min(size) < INPUT_MULTIPLE or any(s % INPUT_MULTIPLE for s in size):
            raise ConfigError(
                f'image_size must be (height, width) in multiples of {INPUT_MULTIPLE}, got {size}'
            )
        if self.base_width < 2 or self.base_width % 2 or self.out_channels < 1:
            raise ConfigError(
                'base_width must be even and >= 2 and out_channels >= 1, '
                f'got {self.base_width} and {self.out_channels}'
            )
        check_attention(
            self.encoder_channels[-1],
            blocks=self.attention_blocks,
            heads=self.attention_heads,
            contraction=self.attention_contraction,
        )

    def encoder_config(self, *, in_channels: int) -> ResNetConfig:
        """The part of the encoder that is a ResNet."""
        return ResNetConfig(self.encoder_depth, in_channels, self.base_width, layers=3)

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Channels of the encoder stages 1 to 5."""
        channels = self.encoder_config(in_channels=1).channels
        return *channels, 2 * channels[-1]

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        """Channels that leave the decoder stages 1 to 5; stage 1 gives the class scores."""
        deepest = self.encoder_channels[-1]
        return self.out_channels, *(deepest // 2**k for k in (4, 3, 2, 1))

    def plain(self) -> dict[str, Any]:
        """The sizes as numbers, text and lists, for YAML and JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def preset_sizes(name: str) -> dict[str, Any]:
    """The arguments known as `name`.

    Raises:
        ConfigError: `name` is not a preset.
    """
    if name not in SIZE_PRESETS:
        raise ConfigError(f'network must be one of {sorted(SIZE_PRESETS)}, got {name!r}')
    return SIZE_PRESETS[name]


class AttentionEncoder(nn.Module):
    """Stem and three layers of a ResNet, then self-attention.

    Args:
        config: sizes.
        in_channels: channels of the image.
    """

    def __init__(self, config: AttentionUNetConfig, *, in_channels: int) -> None:
        """Create the five stages."""
        super().__init__()
        self.resnet = ResNet(config.encoder_config(in_channels=in_channels))
        self.attention = AttentionStack(
            config.encoder_channels[3],
            config.encoder_channels[4],
            (config.image_size[0] // 16, config.image_size[1] // 16),
            blocks=config.attention_blocks,
            heads=config.attention_heads,
            contraction=config.attention_contraction,
        )

    def run_stage(self, stage: int, x: Tensor) -> Tensor:
        """Features of one stage, 1 to 5, from the image or from those of the stage before."""
        if stage < STAGES:
            return self.resnet.run_stage(stage, x)
        y: Tensor = self.attention(x)
        return y

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of the five stages, at 1/2 to 1/32 of the image."""
        features, y = [], image
        for stage in range(1, STAGES + 1):
            y = self.run_stage(stage, y)
            features.append(y)
        return features

    def load_imagenet_weights(self, path: Path) -> None:
        """Take over the ResNet's part of a file; see `ResNet.load_imagenet_weights`."""
        self.resnet.load_imagenet_weights(path)


class Decoder(nn.Module):
    """Five stages that each double the resolution and add the encoder's features there.

    Args:
        config: sizes.
    """

    def __init__(self, config: AttentionUNetConfig) -> None:
        """Create the stages and the convolution that widens the stem's features."""
        super().__init__()
        channels = (*config.decoder_channels, config.encoder_channels[-1])
        self.stages = nn.ModuleDict(
            {
                f'stage{k}': decoder_stage(
                    channels[k], channels[k - 1], last_relu=k > 1 or config.nonnegative_logits
                )
                for k in range(STAGES, 0, -1)
            }
        )
        self.widen = nn.Conv2d(config.base_width, config.decoder_channels[1], 3, padding=1)

    def run_stage(self, stage: int, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Double the resolution and add the skip.

        Args:
            stage: 5 (deepest) to 1 (class scores).
            x: what left the stage before; the last encoder feature for stage 5.
            features: of the encoder stages 1 to 5.
        """
        y: Tensor = self.stages[f'stage{stage}'](x)
        if stage == 1:
            return y
        skip = features[stage - 2]
        return y + (self.widen(skip) if stage == 2 else skip)


def check_image(image: Tensor, channels: int, image_size: tuple[int, int]) -> None:
    """Refuse an image that the network was not built for.

    Raises:
        ShapeError: it is not [batch, channels, *image_size].
    """
    if image.dim() != 4 or tuple(image.shape[1:]) != (channels, *image_size):
        raise ShapeError(
            f'the input must be [batch, {channels}, {image_size[0]}, {image_size[1]}], got '
            f'{list(image.shape)}: the attention stage has position embeddings of one size; '
            'resize the image, or build the network with another image_size'
        )
