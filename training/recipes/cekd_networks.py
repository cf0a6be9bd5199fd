# SPDX-License-Identifier: Apache-2.0
"""What may be set of the teacher and of the student of a CEKD run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from kd_perception.errors import ConfigError
from kd_perception.models import EKNet, EKNetConfig
from training.baseline_networks import MFNetConfig, ThermalMFNet, UNet, UNetConfig
from training.data.modality import check_modality
from training.engine import LoopConfig
from training.optimization import OptimizerConfig

EDGES = ('label', 'image', 'none')
TARGETS = ('teacher', 'label', 'both', 'none')
ARCHITECTURES = ('eknet', 'unet', 'mfnet')

Student = EKNet | UNet | ThermalMFNet
StudentSizes = EKNetConfig | UNetConfig | MFNetConfig

_OF_EKNET = ('similarity_weight', 'edge_hint_weight', 'weights_file')


@dataclass(frozen=True)
class TeacherConfig:
    """The network that sees both cameras, and what it learns from.

    Args:
        network: preset of `CENetConfig`.
        modality: `rgbt` (the paper), `rgb` or `thermal`.
        edge_stage: decoder stage of the edge module, 1 to 5; 3 in the paper.
        edges: where its target comes from: outlines of the `label` (the paper), edges of the color
            `image`, or `none` for no edge module.
        edge_radius_px: how near another class must be for a pixel to be an edge.
        edge_pooling: how edges come to the resolution of the module: `max` or `nearest`.
        edge_double_sigmoid: the loss as the authors' script computes it, not as the paper has it.
        edge_weight: of that loss.
        weights_file: ResNet weights in torchvision's format to start from; none if empty.
        loop: how long.
        optimizer: how.
    """

    network: str = 'tiny'
    modality: str = 'rgbt'
    edge_stage: int = 3
    edges: str = 'label'
    edge_radius_px: float = 2.0
    edge_pooling: str = 'max'
    edge_double_sigmoid: bool = False
    edge_weight: float = 1.0
    weights_file: str = ''
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check the names."""
        check_modality(self.modality)
        if self.edges not in EDGES:
            raise ConfigError(f'edges must be one of {list(EDGES)}, got {self.edges!r}')
        if self.edges == 'image' and self.modality == 'thermal':
            raise ConfigError('edges of the color image need a teacher that sees it')


@dataclass(frozen=True)
class StudentConfig:
    """The network that sees heat alone, and the weight of each term that it learns from.

    Args:
        architecture: `eknet` (the paper), or `unet` or `mfnet` to compare with; these have neither
            an enhancement nor the features that similarity and edge hint look at.
        network: preset of `EKNetConfig`, `UNetConfig` or `MFNetConfig`.
        enhancement: `raw` (EKNet as in the paper), `softplus`, `two_sided`, or `none` (KDNet).
        enhancement_offset: lambda of the enhancement.
        target: of the segmentation term: the largest score of the `teacher` (the paper), the
            `label`, `both` with equal weights, or `none`.
        segmentation_weight: of cross-entropy against the target.
        similarity_weight: of the similarities of the last encoder stage.
        edge_hint_weight: of the difference of decoder stage 3 from the teacher's with its edges.
        soft_weight: of cross-entropy against the teacher's softened scores.
        temperature: that softens them.
        reweigh: take the weights of the classes back from the teacher's scores and let them count
            in the student's loss, see `unweighted`.
        weights_file: as of the teacher.
        loop: how long.
        optimizer: how.
    """

    architecture: str = 'eknet'
    network: str = 'tiny'
    enhancement: str = 'softplus'
    enhancement_offset: float = 2.0
    target: str = 'teacher'
    segmentation_weight: float = 1.0
    similarity_weight: float = 1.0
    edge_hint_weight: float = 1.0
    soft_weight: float = 1.0
    temperature: float = 6.0
    reweigh: bool = False
    weights_file: str = ''
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check the architecture, the target and the weights."""
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f'architecture must be one of {list(ARCHITECTURES)}, got {self.architecture!r}'
            )
        if self.target not in TARGETS:
            raise ConfigError(f'target must be one of {list(TARGETS)}, got {self.target!r}')
        weights = [v for k, v in asdict(self).items() if k.endswith('_weight')]
        if min(weights) < 0 or (self.target == 'none' and not any(weights[1:])):
            raise ConfigError(f'weights must be >= 0 and some term must be left, got {weights}')
        unfit = [name for name in _OF_EKNET if getattr(self, name)]
        if unfit and self.architecture != 'eknet':
            raise ConfigError(
                f'{", ".join(unfit)} must be 0 or empty with architecture {self.architecture!r}: '
                'only eknet has the features and the encoder that they need'
            )

    @property
    def needs_teacher(self) -> bool:
        """Whether any term looks at a teacher."""
        weights = (self.similarity_weight, self.edge_hint_weight, self.soft_weight)
        return self.target in ('teacher', 'both') or any(weights)


def new_student(sizes: StudentSizes) -> Student:
    """A student of these sizes with its first weights."""
    if isinstance(sizes, UNetConfig):
        return UNet(sizes)
    if isinstance(sizes, MFNetConfig):
        return ThermalMFNet(sizes)
    return EKNet(sizes)
