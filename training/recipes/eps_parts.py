# SPDX-License-Identifier: Apache-2.0
"""What may be set of the classifier and of the segmentation network of an EPS run."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_perception.errors import ConfigError
from kd_perception.models import ClassMapConfig, DeepLabConfig, RepUNetConfig
from training.data.augmentation import JointConfig
from training.data.tagged_frames import MODALITIES, TagViewConfig
from training.dense_crf import DenseCrfConfig
from training.engine import LoopConfig
from training.losses.saliency import SELECTIONS
from training.optimization import OptimizerConfig

METHODS = ('eps', 'cam')
TARGETS = ('masks', 'salient_tags', 'label')
REP_UNETS = ('rep_unet', 'rep_unet_s')
NETWORKS = (*REP_UNETS, 'deeplab')


@dataclass(frozen=True)
class RatesConfig:
    """How many times as fast as the schedule some weights learn.

    Args:
        head: the last layer, above 0; 10 in EPS and in DeepLab, where the rest is pretrained.
        bias: offsets, above 0, which do not decay; 2 in both.
    """

    head: float = 10.0
    bias: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not min(self.head, self.bias) > 0.0:
            raise ConfigError(f'rates must be above 0, got {self.head} and {self.bias}')


@dataclass(frozen=True)
class ClassifierConfig:
    """The network that learns from tags.

    Args:
        method: `eps`, or `cam`, the baseline, which looks at no saliency.
        network: `resnet38` (the paper) or `small`.
        base_width: of the network; 0 for its usual one.
        frozen: normalization and first blocks of `resnet38` keep what they have.
        weights_file: ImageNet weights of `resnet38`; none if empty.
        dropout: before the head; 0.5 for CAM in the authors' code, 0 for EPS.
        pooling: of maps to scores: `mean` (the paper) or `log_sum_exp`.
        sharpness: of `log_sum_exp`.
        saliency_weight: of the saliency loss against that of the tags, above 0.
        tags_first_steps: at first that learn from tags alone, fewer than `loop.steps`; 0 in the
            paper, whose weights are pretrained. Only with `eps`.
        selection: of maps: `adaptive` (the paper), `naive` or `fixed`.
        background_classes: of `fixed`, by name.
        overlap_threshold: tau of `adaptive`, 0 to 1.
        blend: lambda, 0 to 1.
        view: of the images.
        rates: of head and offsets.
        loop: how long.
        optimizer: how.
    """

    method: str = 'eps'
    network: str = 'small'
    base_width: int = 0
    frozen: bool = True
    weights_file: str = ''
    dropout: float = 0.0
    pooling: str = 'mean'
    sharpness: float = 5.0
    saliency_weight: float = 1.0
    tags_first_steps: int = 0
    selection: str = 'adaptive'
    background_classes: tuple[str, ...] = ()
    overlap_threshold: float = 0.4
    blend: float = 0.5
    view: TagViewConfig = field(default_factory=TagViewConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check names and ranges; lists become tuples."""
        object.__setattr__(self, 'background_classes', tuple(self.background_classes))
        for name, known in (('method', METHODS), ('selection', SELECTIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        for name in ('overlap_threshold', 'blend'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f'{name} must be 0 to 1, got {getattr(self, name)}')
        if not self.saliency_weight > 0.0:
            raise ConfigError(f'saliency_weight must be above 0, got {self.saliency_weight}')
        if not 0 <= self.tags_first_steps < self.loop.steps:
            raise ConfigError(
                f'tags_first_steps must be 0 to {self.loop.steps - 1}, fewer than loop.steps, got '
                f'{self.tags_first_steps}'
            )
        if self.tags_first_steps and self.method != 'eps':
            raise ConfigError(f'tags_first_steps go with method eps, got {self.method!r}')
        if self.background_classes and self.selection != 'fixed':
            raise ConfigError(
                f'background_classes go with selection fixed, got {self.selection!r}'
            )

    def sizes(self, classes: int, modality: str) -> ClassMapConfig:
        """Sizes of the network for a number of classes."""
        return ClassMapConfig(
            network=self.network,
            head=self.method,
            classes=classes,
            in_channels=MODALITIES[modality],
            base_width=self.base_width,
            frozen=self.frozen,
            dropout=self.dropout,
            pooling=self.pooling,
            sharpness=self.sharpness,
        )


SCORING = ('crf', 'crf_images', 'random_field', 'image_size')
"""Settings of a segmentation network that change what it is scored on, but not its weights."""


@dataclass(frozen=True)
class SegmentationConfig:
    """The network that learns from masks.

    Args:
        network: `rep_unet_s` and `rep_unet`, which run on the robot, or `deeplab` (the paper).
        target: `masks`; or a control that needs no classifier: `salient_tags`, see
            `training.pseudo_masks`, or `label`, which sees every pixel's class.
        modality: what it sees, `rgb` or `thermal`; the classifier may have seen the other.
        image_size: (height, width) of its input on the robot and where it is scored.
        depth: of `deeplab`'s ResNet.
        base_width: of it.
        frozen: its normalization keeps what it has.
        weights_file: ImageNet weights of it; none if empty.
        crf: score `deeplab`'s masks after a random field, too.
        crf_images: images that are, spread over the set; 0 for all. One of 375x500 pixels and 21
            classes takes 26 seconds of a core.
        random_field: of that.
        view: of training images.
        rates: of `deeplab`'s classifiers and offsets.
        loop: how long.
        optimizer: how.
    """

    network: str = 'rep_unet_s'
    target: str = 'masks'
    modality: str = 'rgb'
    image_size: tuple[int, int] = (64, 64)
    depth: int = 101
    base_width: int = 64
    frozen: bool = True
    weights_file: str = ''
    crf: bool = False
    crf_images: int = 0
    random_field: DenseCrfConfig = field(default_factory=DenseCrfConfig)
    view: JointConfig = field(default_factory=JointConfig)
    rates: RatesConfig = field(default_factory=RatesConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check the names."""
        object.__setattr__(self, 'image_size', tuple(self.image_size))
        for name, known in (
            ('network', NETWORKS), ('target', TARGETS), ('modality', tuple(MODALITIES)),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        if self.crf_images < 0:
            raise ConfigError(f'crf_images must be >= 0, got {self.crf_images}')
        if self.network != 'deeplab' and (self.weights_file or self.crf):
            raise ConfigError(
                f'weights_file and crf go with network deeplab, got {self.network!r}'
            )
        if self.network in REP_UNETS and any(side % 32 for side in self.image_size):
            raise ConfigError(f'image_size must be multiples of 32, got {self.image_size}')

    def sizes(self, classes: int) -> RepUNetConfig | DeepLabConfig:
        """Sizes of the network for a number of classes, background included."""
        channels = MODALITIES[self.modality]
        if self.network == 'deeplab':
            return DeepLabConfig(
                self.depth, self.base_width, channels, classes, frozen=self.frozen
            )
        return RepUNetConfig.preset(self.network, in_channels=channels, out_channels=classes)
