# SPDX-License-Identifier: Apache-2.0
"""What may be set of the teacher and of the student of a CEKD run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from kd_perception.errors import ConfigError
from training.data.modality import check_modality
from training.engine import LoopConfig
from training.optimization import OptimizerConfig

EDGES = ('label', 'image', 'none')
TARGETS = ('teacher', 'label', 'both', 'none')


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
        network: preset of `EKNetConfig`.
        enhancement: `raw` (EKNet as in the paper), `softplus`, `two_sided`, or `none` (KDNet).
        enhancement_offset: lambda of the enhancement.
        target: of the segmentation term: the largest score of the `teacher` (the paper), the
            `label`, `both` with equal weights, or `none`.
        segmentation_weight: of cross-entropy against the target.
        similarity_weight: of the similarities of the last encoder stage.
        edge_hint_weight: of the difference of decoder stage 3 from the teacher's with its edges.
        soft_weight: of cross-entropy against the teacher's softened scores.
        temperature: that softens them.
        weights_file: as of the teacher.
        loop: how long.
        optimizer: how.
    """

    network: str = 'tiny'
    enhancement: str = 'softplus'
    enhancement_offset: float = 2.0
    target: str = 'teacher'
    segmentation_weight: float = 1.0
    similarity_weight: float = 1.0
    edge_hint_weight: float = 1.0
    soft_weight: float = 1.0
    temperature: float = 6.0
    weights_file: str = ''
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Check the target and the weights."""
        if self.target not in TARGETS:
            raise ConfigError(f'target must be one of {list(TARGETS)}, got {self.target!r}')
        weights = [v for k, v in asdict(self).items() if k.endswith('_weight')]
        if min(weights) < 0 or (self.target == 'none' and not any(weights[1:])):
            raise ConfigError(f'weights must be >= 0 and some term must be left, got {weights}')

    @property
    def needs_teacher(self) -> bool:
        """Whether any term looks at a teacher."""
        weights = (self.similarity_weight, self.edge_hint_weight, self.soft_weight)
        return self.target in ('teacher', 'both') or any(weights)
