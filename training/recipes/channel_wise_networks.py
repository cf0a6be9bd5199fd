# SPDX-License-Identifier: Apache-2.0
"""Teachers and students of channel-wise distillation in one form, and what their labels teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import PSPNet, PSPNetConfig, RepUNet, RepUNetConfig
from training.data.modality import CHANNELS, check_modality
from training.engine import LoopConfig
from training.losses import MeanCount, cross_entropy_loss
from training.optimization import OptimizerConfig

ARCHITECTURES = ('rep_unet', 'pspnet')
PIXELS = ('unit', 'bgr_mean')
AUXILIARY_WEIGHT = 0.4

_BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)


class Maps(NamedTuple):
    """What a network says of a batch, before anything is upsampled.

    Attributes:
        logits: [batch, classes, height / stride, width / stride].
        features: what the last convolution sees, of that size, [batch, channels, ...].
        auxiliary_logits: class scores of a layer in the middle, in training, where there is one.
    """

    logits: Tensor
    features: Tensor
    auxiliary_logits: Tensor | None = None


@dataclass(frozen=True)
class NetworkConfig:
    """A teacher or a student, and how it learns.

    Args:
        architecture: `rep_unet`, or `pspnet` as in the paper.
        preset: of `RepUNetConfig` or `PSPNetConfig`.
        depth: of the ResNet in PSPNet: 101 of the paper's teacher, 18 of its student.
        modality: what the network sees: `thermal`, `rgb` or `rgbt`.
        pixels: `unit` shows images in 0 to 1; `bgr_mean` blue, green, red in 0 to 255 less the
            means of ImageNet, as in the authors' code, for `rgb` alone.
        weights_file: ResNet weights to start from, for PSPNet; none if empty.
        loop: how long.
        optimizer: how.

    Raises:
        ConfigError: a name is unknown, or settings do not fit the architecture.
    """

    architecture: str = 'rep_unet'
    preset: str = 'rep_unet_s'
    depth: int = 18
    modality: str = 'thermal'
    pixels: str = 'unit'
    weights_file: str = ''
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check the names."""
        check_modality(self.modality)
        for name, known in (('architecture', ARCHITECTURES), ('pixels', PIXELS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {list(known)}, got {getattr(self, name)!r}'
                )
        if self.pixels == 'bgr_mean' and self.modality != 'rgb':
            raise ConfigError(
                f'pixels bgr_mean must come with modality rgb, got {self.modality!r}'
            )
        if self.weights_file and self.architecture != 'pspnet':
            raise ConfigError('weights_file must be empty with rep_unet: it has no ResNet')
        self.sizes(1)

    def sizes(self, num_classes: int) -> RepUNetConfig | PSPNetConfig:
        """Sizes of the network."""
        channels = CHANNELS[self.modality]
        if self.architecture == 'rep_unet':
            return RepUNetConfig.preset(
                self.preset, in_channels=channels, out_channels=num_classes
            )
        return PSPNetConfig.preset(
            self.preset, depth=self.depth, in_channels=channels, out_channels=num_classes
        )

    @property
    def feature_channels(self) -> int:
        """Channels of `Maps.features`."""
        sizes = self.sizes(1)
        return sizes.decoder_width if isinstance(sizes, RepUNetConfig) else sizes.head_channels

    def map_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of `Maps.logits` and `Maps.features` of images of that size.

        Args:
            height: a multiple of 32, as that of views of training frames.
            width: a multiple of 32.
        """
        sizes = self.sizes(1)
        if isinstance(sizes, RepUNetConfig):
            return height // 4, width // 4
        more = int(sizes.ceil_pooling)
        return height // 8 + more, width // 8 + more


class Segmenter(nn.Module):
    """A network with its preparation of pixels.

    Args:
        config: of the network.
        num_classes: of the label set.
    """

    def __init__(self, config: NetworkConfig, num_classes: int) -> None:
        """Build it with its first weights."""
        super().__init__()
        self.config = config
        sizes = config.sizes(num_classes)
        self.network = RepUNet(sizes) if isinstance(sizes, RepUNetConfig) else PSPNet(sizes)
        if isinstance(self.network, PSPNet) and config.weights_file:
            self.network.load_imagenet_weights(Path(config.weights_file))

    def forward(self, images: Tensor) -> Maps:
        """Maps of images in 0 to 1, float [batch, channels, height, width], color as RGB."""
        if self.config.pixels == 'bgr_mean':
            mean = torch.tensor(_BGR_MEAN, device=images.device)
            images = 255.0 * images.flip(1) - mean[:, None, None]
        if isinstance(self.network, PSPNet):
            return Maps(*self.network(images))
        features = self.network.features(images)
        return Maps(self.network.head(features), features)

    def label_terms(
        self,
        maps: Maps,
        labels: Tensor,
        weight: Tensor | None,
        *,
        mean_count: MeanCount | None = None,
    ) -> dict[str, Tensor]:
        """Cross-entropy against labels, of the auxiliary scores too.

        PSPNet is compared at the size of the labels, `rep_unet` at half of it, as in the other
        recipes.

        Args:
            maps: of this network.
            labels: int64 [batch, height, width], 255 is ignored.
            weight: of the classes, or None for equal ones.
            mean_count: over the processes that share a batch, see `training.losses.counts`.
        """
        if isinstance(self.network, RepUNet):
            labels = labels[:, 1::2, 1::2]

        def against_labels(logits: Tensor) -> Tensor:
            upsampled = self._at(logits, labels)
            return cross_entropy_loss(upsampled, labels, weight=weight, mean_count=mean_count)

        terms = {'label': against_labels(maps.logits)}
        if maps.auxiliary_logits is not None:
            terms['auxiliary'] = AUXILIARY_WEIGHT * against_labels(maps.auxiliary_logits)
        return terms

    def scores(self, images: Tensor) -> Tensor:
        """Logits to score: PSPNet's at the size of the images, as in the paper's evaluation.

        Those of `rep_unet` stay at a quarter: the robot's postprocessing upsamples them.
        """
        logits = self(images).logits
        return logits if isinstance(self.network, RepUNet) else self._at(logits, images[:, 0])

    def _at(self, logits: Tensor, images: Tensor) -> Tensor:
        """Logits at the size of images or labels [batch, height, width]."""
        network = self.network
        align = isinstance(network, PSPNet) and network.config.ceil_pooling
        return functional.interpolate(
            logits.float(), images.shape[1:], mode='bilinear', align_corners=align
        )


def told_of_first_weights(networks: Mapping[str, NetworkConfig]) -> str:
    """What to tell before networks of the paper start from random weights.

    Args:
        networks: that will be trained, by role.

    Returns:
        A sentence; empty where none of them does.

    Raises:
        ConfigError: a file of weights is not there.
    """
    for role, network in networks.items():
        if network.weights_file and not Path(network.weights_file).is_file():
            raise ConfigError(
                f'{role}.weights_file must be a file of ResNet weights, there is none at '
                f'{network.weights_file}'
            )
    bare = [
        role
        for role, network in networks.items()
        if (network.architecture, network.preset, network.weights_file) == ('pspnet', 'paper', '')
    ]
    if not bare:
        return ''
    settings = ' and '.join(f'--{role}.weights_file' for role in bare)
    return (
        f'Starting from random weights: {" and ".join(bare)}. The paper starts from ImageNet, and '
        f'its figures will not be reached without: name files of ResNet weights by {settings}.'
    )
