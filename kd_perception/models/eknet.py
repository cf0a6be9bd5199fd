# SPDX-License-Identifier: Apache-2.0
"""EKNet, the thermal student of CEKD; without enhancement it is the paper's KDNet.

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models.attention_unet import (
    HINT_STAGE,
    STAGES,
    AttentionEncoder,
    AttentionUNetConfig,
    Decoder,
    check_image,
    preset_sizes,
)
from kd_perception.models.thermal_enhancement import (
    EXPONENTS,
    MIN_SIDE,
    ThermalEnhancement,
    check_exponent,
)

NO_ENHANCEMENT = 'none'


@dataclass(frozen=True)
class EKNetConfig(AttentionUNetConfig):
    """Sizes of an `EKNet`.

    Args:
        enhancement: `none` (KDNet), or how the exponent of the thermal enhancement is made: `raw`
            (the paper), `softplus` or `two_sided`; see `exponent_from_delta`.
        enhancement_offset: lambda of the paper, > 0: the exponent where the regressor gives 0.
    """

    enhancement: str = 'raw'
    enhancement_offset: float = 2.0

    def __post_init__(self) -> None:
        """Check the sizes and the enhancement."""
        super().__post_init__()
        if self.enhancement == NO_ENHANCEMENT:
            return
        if self.enhancement not in EXPONENTS:
            raise ConfigError(
                f'enhancement must be one of {[NO_ENHANCEMENT, *EXPONENTS]}, '
                f'got {self.enhancement!r}'
            )
        check_exponent(self.enhancement, self.enhancement_offset)
        if min(self.image_size) < MIN_SIDE:
            raise ConfigError(
                f'image_size must be >= {MIN_SIDE} with enhancement, got {self.image_size}'
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> EKNetConfig:
        """The sizes known as `name`: `paper`, `small` or `tiny`.

        They have 190.46 M, 3.55 M and 0.89 M weights.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        return cls(**{**preset_sizes(name), **changes})

    @property
    def in_channels(self) -> int:
        """Channels of the input image."""
        return 1

    def architecture(self) -> dict[str, Any]:
        """The description that `build_network` reads."""
        return {'name': 'eknet', 'config': self.plain()}


class EKNetOutput(NamedTuple):
    """What `EKNet` gives.

    Attributes:
        logits: class scores [batch, out_channels, height, width].
        features: last encoder stage, [batch, 2048, height / 32, width / 32] in the paper.
        hint: what leaves decoder stage 3 before the enhanced image is added to it,
            [batch, 256, height / 4, width / 4] in the paper.
        exponent: of the enhancement, [batch]; None without.
    """

    logits: Tensor
    features: Tensor
    hint: Tensor
    exponent: Tensor | None


class EKNet(nn.Module):
    """A thermal encoder and a decoder to whose stages the enhanced image is added.

    Args:
        config: sizes.
    """

    def __init__(self, config: EKNetConfig) -> None:
        """Create the parts."""
        super().__init__()
        self.config = config
        self.encoder = AttentionEncoder(config, in_channels=config.in_channels)
        self.decoder = Decoder(config)
        self.enhancement = (
            None
            if config.enhancement == NO_ENHANCEMENT
            else ThermalEnhancement(
                config.image_size, exponent=config.enhancement, offset=config.enhancement_offset
            )
        )

    def forward(self, image: Tensor) -> EKNetOutput:
        """Class scores and what is compared with the teacher.

        Args:
            image: float [batch, 1, *image_size], 0 to 1. With enhancement at least two images in
                training.

        Raises:
            ShapeError: wrong rank, channels or size, or one image in training with enhancement.
        """
        check_image(image, self.config.in_channels, self.config.image_size)
        enhanced = None if self.enhancement is None else self.enhancement(image)
        features = self.encoder(image)
        y = hint = features[-1]
        for stage in range(STAGES, 0, -1):
            if enhanced is not None:
                # Every 2^stage-th pixel is what nearest-neighbour resizing picks.
                y = y + enhanced.image[:, :, :: 2**stage, :: 2**stage]
            y = self.decoder.run_stage(stage, y, features)
            if stage == HINT_STAGE:
                hint = y
        return EKNetOutput(y, features[-1], hint, enhanced.exponent if enhanced else None)

    def load_imagenet_weights(self, path: Path) -> None:
        """Start the encoder from a local file; see `ResNet.load_imagenet_weights`.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        self.encoder.load_imagenet_weights(path)
