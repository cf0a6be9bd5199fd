# SPDX-License-Identifier: Apache-2.0
"""HRNet: branches at 1/4 to 1/32 of the image that exchange features all the way.

The state dict of the encoder has the names of the authors' weights.

Reference:
    J. Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", TPAMI
    2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models.branch_exchange import Exchange, enlarged, halving, unit, with_gaps
from kd_perception.models.image_input import check_image_shape
from kd_perception.models.imagenet_weights import read_weights, weights_for_encoder
from kd_perception.models.resnet import Bottleneck

BRANCHES = 4

_STEM_BLOCKS = 4
_PRESETS: dict[str, dict[str, Any]] = {
    'w18': {},
    'w48': {'width': 48},
    'tiny': {'width': 8, 'stem_width': 16, 'modules': (1, 1, 1), 'blocks': 2},
}


@dataclass(frozen=True)
class HRNetConfig:
    """Sizes of an `HRNet`.

    Args:
        in_channels: of the image, >= 1.
        out_channels: classes, >= 1.
        width: channels of the finest branch, >= 1; each coarser one has twice as many.
        stem_width: channels of the stem, >= 1.
        modules: exchanges of the stages with two, three and four branches, >= 1 each.
        blocks: residual blocks per branch between exchanges, >= 1.
    """

    in_channels: int = 3
    out_channels: int = 19
    width: int = 18
    stem_width: int = 64
    modules: tuple[int, ...] = (1, 4, 3)
    blocks: int = 4

    def __post_init__(self) -> None:
        """Check the sizes; lists become tuples."""
        object.__setattr__(self, 'modules', tuple(self.modules))
        sizes = (self.in_channels, self.out_channels, self.width, self.stem_width, self.blocks)
        if len(self.modules) != BRANCHES - 1 or min(*sizes, *self.modules) < 1:
            raise ConfigError(
                f'every size must be >= 1 and modules must be {BRANCHES - 1} numbers, got {self}'
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> HRNetConfig:
        """The sizes known as `name`: `w18` or `w48` (the paper), or `tiny`.

        With 19 classes they have 9.64 M, 65.85 M and 0.39 M weights.

        Args:
            name: of the preset.
            changes: fields that shall differ from it.

        Raises:
            ConfigError: `name` is not a preset, or a change is out of range.
        """
        if name not in _PRESETS:
            raise ConfigError(f'network must be one of {sorted(_PRESETS)}, got {name!r}')
        return cls(**{**_PRESETS[name], **changes})

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four branches."""
        return tuple(self.width * 2**k for k in range(BRANCHES))

    @property
    def feature_channels(self) -> int:
        """Channels of all branches together."""
        return sum(self.channels)

    def architecture(self) -> dict[str, Any]:
        """The description that `build_network` reads."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {'name': 'hrnet', 'config': plain}


class HRNetOutput(NamedTuple):
    """What `HRNet` gives, at a quarter of the image: nothing is upsampled.

    Attributes:
        logits: class scores [batch, out_channels, height / 4, width / 4].
        features: all branches, [batch, feature_channels, height / 4, width / 4].
    """

    logits: Tensor
    features: Tensor


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """What makes the first branches as wide as they shall be, and the new one."""
    kept: list[nn.Module | None] = [
        None if own == wanted else nn.Sequential(*unit(own, wanted, 1), nn.ReLU())
        for own, wanted in zip(before, after[:-1], strict=True)
    ]
    return with_gaps([*kept, nn.Sequential(halving(before[-1], after[-1], relu=True))])


class HRNet(nn.Module):
    """Stem, residual blocks at a quarter of the image, three stages with exchanges, a head.

    Args:
        config: sizes.
    """

    def __init__(self, config: HRNetConfig) -> None:
        """Create the parts."""
        super().__init__()
        self.config = config
        stem, channels = config.stem_width, config.channels
        self.conv1, self.bn1 = unit(config.in_channels, stem, 2)
        self.conv2, self.bn2 = unit(stem, stem, 2)
        wide = Bottleneck.expansion * stem
        rest = (Bottleneck(wide, stem) for _ in range(_STEM_BLOCKS - 1))
        self.layer1 = nn.Sequential(Bottleneck(stem, stem), *rest)
        for k, count in enumerate(config.modules, start=1):
            before = (wide,) if k == 1 else channels[:k]
            self.add_module(f'transition{k}', _transition(before, channels[: k + 1]))
            exchanges = (Exchange(channels[: k + 1], config.blocks) for _ in range(count))
            self.add_module(f'stage{k + 1}', nn.Sequential(*exchanges))
        width = config.feature_channels
        self.last_layer = nn.Sequential(
            nn.Conv2d(width, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, config.out_channels, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, image: Tensor) -> HRNetOutput:
        """Class scores and what other heads see.

        Args:
            image: float [batch, in_channels, height, width], both a multiple of 32.

        Raises:
            ShapeError: wrong rank, channels or size.
        """
        check_image_shape(image, self.config.in_channels)
        # See `RepUNet.features`: images that are stored pixel by pixel end torch.
        y = functional.relu(self.bn1(self.conv1(image.contiguous())))
        maps = [self.layer1(functional.relu(self.bn2(self.conv2(y))))]
        for k in range(1, BRANCHES):
            maps = self._begin(k, maps)
            maps = self.get_submodule(f'stage{k + 1}')(maps)
        features = torch.cat([enlarged(y, maps[0].shape[2:]) for y in maps], dim=1)
        return HRNetOutput(self.last_layer(features), features)

    def _begin(self, k: int, maps: list[Tensor]) -> list[Tensor]:
        """The maps of a stage, one more than before."""
        transition = self.get_submodule(f'transition{k}')
        assert isinstance(transition, nn.ModuleList)
        sources = [*maps, maps[-1]]
        return [y if t is None else t(y) for y, t in zip(sources, transition, strict=True)]

    def load_imagenet_weights(self, path: Path) -> None:
        """Start all but the head from a local file with the authors' names.

        A stem with one input channel gets the mean of the three kernels in the file.

        Args:
            path: `.safetensors`, or a file of `torch.save`; of the same width.

        Raises:
            ConfigError: the file cannot be read or its weights do not fit.
        """
        own = {k: v for k, v in self.state_dict().items() if not k.startswith('last_layer.')}
        parts = {name.split('.')[0] for name in own}
        known = {k: v for k, v in read_weights(path).items() if k.split('.')[0] in parts}
        fitting = weights_for_encoder(known, own, source=str(path))
        self.load_state_dict(fitting, strict=False)
