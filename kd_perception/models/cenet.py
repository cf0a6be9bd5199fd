# SPDX-License-Identifier: Apache-2.0
"""CENet, the teacher of CEKD: color and heat, with edges as privileged information.

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
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
from kd_perception.models.edge_module import EdgeModule

_CHANNELS = {'thermal': 1, 'rgb': 3, 'rgbt': 4}


@dataclass(frozen=True)
class CENetConfig(AttentionUNetConfig):
    """Sizes and inputs of a `CENet`.

    Args:
        modality: what the network sees: `thermal`, `rgb`, or `rgbt` (the paper). With one of
            them there is one encoder.
        edge_stage: decoder stage, 1 (full resolution) to 5, whose output the edge module sees; 3
            in the paper, None for no edge module. At stage 1 that output are the class scores, and
            adding one number to all of them changes no probability.
    """

    modality: str = 'rgbt'
    edge_stage: int | None = 3

    def __post_init__(self) -> None:
        """Check the sizes and the names."""
        super().__post_init__()
        if self.modality not in _CHANNELS:
            raise ConfigError(f'modality must be one of {list(_CHANNELS)}, got {self.modality!r}')
        if self.edge_stage is not None and self.edge_stage not in range(1, STAGES + 1):
            raise ConfigError(
                f'edge_stage must be 1 to {STAGES}, or None for no edge module, '
                f'got {self.edge_stage!r}'
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> CENetConfig:
        """The sizes known as `name`: `paper`, `small` or `tiny`.

        They have 245.11 M, 4.98 M and 1.25 M weights.

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
        return _CHANNELS[self.modality]

    @property
    def edge_size(self) -> tuple[int, int] | None:
        """(height, width) of the edge map; None without edge module."""
        if self.edge_stage is None:
            return None
        height, width = (side >> (self.edge_stage - 1) for side in self.image_size)
        return height, width

    def architecture(self) -> dict[str, Any]:
        """The description that `build_network` reads."""
        return {'name': 'cenet', 'config': self.plain()}


class CENetOutput(NamedTuple):
    """What `CENet` gives.

    Attributes:
        logits: class scores [batch, out_channels, height, width].
        features: last encoder stage, [batch, 2048, height / 32, width / 32] in the paper.
        hint: what leaves decoder stage 3, [batch, 256, height / 4, width / 4] in the paper; the
            edge map is in it where the edge module sits at stage 3 or deeper.
        edge_logits: [batch, 1, *edge_size]; their sigmoid is the edge map. None without edges.
    """

    logits: Tensor
    features: Tensor
    hint: Tensor
    edge_logits: Tensor | None


class CENet(nn.Module):
    """One or two encoders, fused by addition after every stage, a decoder and an edge module.

    Args:
        config: sizes and inputs.
    """

    def __init__(self, config: CENetConfig) -> None:
        """Create the parts."""
        super().__init__()
        self.config = config
        has_rgb, has_thermal = config.modality != 'thermal', config.modality != 'rgb'
        self.rgb_encoder = AttentionEncoder(config, in_channels=3) if has_rgb else None
        self.thermal_encoder = AttentionEncoder(config, in_channels=1) if has_thermal else None
        self.decoder = Decoder(config)
        stage = config.edge_stage
        self.edge = None if stage is None else EdgeModule(config.decoder_channels[stage - 1])

    def forward(self, image: Tensor) -> CENetOutput:
        """Class scores, edges and what a student learns from.

        Args:
            image: float [batch, in_channels, *image_size], 0 to 1; `rgbt` is thermal, red, green,
                blue.

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        check_image(image, self.config.in_channels, self.config.image_size)
        features = self.encode(image)
        y = hint = features[-1]
        edge_logits = None
        for stage in range(STAGES, 0, -1):
            y = self.decoder.run_stage(stage, y, features)
            if self.edge is not None and stage == self.config.edge_stage:
                edge_logits = self.edge(y)
                y = y + torch.sigmoid(edge_logits)
            if stage == HINT_STAGE:
                hint = y
        return CENetOutput(y, features[-1], hint, edge_logits)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of the five encoder stages, fused where there are two encoders.

        Heat is added to color after every stage; the thermal encoder goes on without color.

        Args:
            image: as in `forward`.
        """
        rgb_encoder, thermal_encoder = self.rgb_encoder, self.thermal_encoder
        if rgb_encoder is None or thermal_encoder is None:
            only = rgb_encoder or thermal_encoder
            assert only is not None
            single: list[Tensor] = only(image)
            return single
        thermal, rgb = image[:, :1], image[:, 1:]
        features = []
        for stage in range(1, STAGES + 1):
            thermal = thermal_encoder.run_stage(stage, thermal)
            rgb = rgb_encoder.run_stage(stage, rgb) + thermal
            features.append(rgb)
        return features

    def load_imagenet_weights(self, path: Path) -> None:
        """Start every encoder from a local file; see `ResNet.load_imagenet_weights`.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        for encoder in (self.rgb_encoder, self.thermal_encoder):
            if encoder is not None:
                encoder.load_imagenet_weights(path)
