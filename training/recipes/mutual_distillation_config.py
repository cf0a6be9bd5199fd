# SPDX-License-Identifier: Apache-2.0
"""What may be set of a run; `training.recipes.mutual_distillation` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kd_perception.errors import ConfigError
from kd_perception.metrics import DEPTH_PROTOCOLS, DepthProtocol
from training.data.augmentation import JointConfig
from training.data.depth_bag_config import LATER as LATER_OF_BAGS
from training.data.depth_bag_config import DepthBagConfig
from training.data.world import WorldSplit, preset_splits
from training.distributed import LaunchConfig
from training.engine import LoopConfig
from training.optimization import OptimizerConfig
from training.recipes.mutual_distillation_networks import NetworkConfig
from training.recipes.mutual_distillation_sets import CityscapesConfig, KittiConfig
from training.recipes.mutual_distillation_terms import (
    SOURCES,
    BranchConfig,
    CorruptionConfig,
    DistillationConfig,
    NoiseConfig,
    PhotometricLossConfig,
    SupervisedLossConfig,
    flips_only,
)
from training.records import RunPaths
from training.settings import plain, settings_digest, without_later

SPLIT_NAMES = ('train', 'validation', 'test')

SCORED_FIELDS = ('rgb', 'depth_m', 'instance', 'glass', 'sky', 'camera_matrix', 'camera_pose')
_SOURCE_FIELDS = {
    'right': ('right', 'baseline_m'),
    'previous': ('previous', 'previous_from_camera'),
    'next': ('next', 'next_from_camera'),
}


@dataclass(frozen=True)
class MutualConfig(RunPaths):
    """One run: one branch, or two that teach each other.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        image_size: (height, width) of the networks, multiples of 32, at least 64.
        first: branch that is deployed by default; the supervised one in the paper.
        second: the other branch; `kind: none` for one network alone.
        network: see `NetworkConfig`.
        supervised: see `SupervisedLossConfig`.
        photometric: see `PhotometricLossConfig`.
        distillation: see `DistillationConfig`; without meaning for one branch.
        noise: see `NoiseConfig`.
        corruption: see `CorruptionConfig`.
        view: random part of the frame that all branches share; its size follows from
            `image_size`. Flips alone by default.
        measured_share: of the training frames, the first ones, that have lidar; 0 to 1.
        train: frames of the world.
        validation: frames that choose settings.
        test: frames that choose nothing.
        presets: worlds that the run is also scored on.
        preset_count: frames of each of them.
        kitti: see `KittiConfig`.
        cityscapes: see `CityscapesConfig`.
        bag: a recording in the place of the world, see `DepthBagConfig`.
        loop: how long, how often.
        optimizer: of all networks.
        launch: processes, device, number format.
        cache: folder of rendered frames.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str = 'mutual_distillation'
    seed: int = 0
    image_size: tuple[int, int] = (96, 128)
    first: BranchConfig = field(default_factory=BranchConfig)
    second: BranchConfig = field(default_factory=lambda: BranchConfig('unsupervised'))
    network: NetworkConfig = field(default_factory=NetworkConfig)
    supervised: SupervisedLossConfig = field(default_factory=SupervisedLossConfig)
    photometric: PhotometricLossConfig = field(default_factory=PhotometricLossConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    view: JointConfig = field(default_factory=flips_only)
    measured_share: float = 1.0
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 400))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 100))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 100))
    presets: tuple[str, ...] = ()
    preset_count: int = 100
    kitti: KittiConfig = field(default_factory=KittiConfig)
    cityscapes: CityscapesConfig = field(default_factory=CityscapesConfig)
    bag: DepthBagConfig = field(default_factory=DepthBagConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/mutual_distillation')
    results: Path = Path('results/mutual_distillation')

    def __post_init__(self) -> None:
        """Check what settings mean together, and let splits and views be of one kind and size."""
        if self.first.kind == 'none':
            raise ConfigError("first must be a branch: kind 'none' is for second only")
        if not 0.0 <= self.measured_share <= 1.0:
            raise ConfigError(f'measured_share must be 0 to 1, got {self.measured_share}')
        if sum(map(bool, self._real_sets)) > 1:
            raise ConfigError(
                'a run learns from one data set: all but one of kitti.root, cityscapes.root and '
                'bag.bag must be empty'
            )
        if self.noise.instances and not (self.kitti.root or self.bag.bag):
            raise ConfigError(
                'noise.instances is for KITTI and recordings; the world and Cityscapes have their '
                f'own, got {self.noise.instances!r}'
            )
        self._check_poses()
        self._check_uncertainty()
        train = tuple(dict.fromkeys((*self._train_fields(),)))
        for name, wanted in (('train', train), ('validation', SCORED_FIELDS),
                             ('test', SCORED_FIELDS)):  # fmt: skip
            object.__setattr__(self, name, replace(getattr(self, name), fields=wanted))
        height, width = self.image_size
        object.__setattr__(self, 'image_size', (height, width))
        object.__setattr__(self, 'view', replace(self.view, height=height, width=width))

    def _check_poses(self) -> None:
        known = self.rendered or self.bag.pose_frame
        if self.uses_video and self.network.poses == 'known' and not known:
            raise ConfigError(
                'network.poses must be learned: motions of the car are not read from KITTI and '
                'Cityscapes, and from a recording where bag.pose_frame is set'
            )
        if self.bag.bag and 'right' in self.sources and not self.bag.right_topic:
            raise ConfigError('a branch with views of a pair needs bag.right_topic')

    def _check_uncertainty(self) -> None:
        if self.distillation.use == 'none':
            return
        for weight, teacher in zip(self.taught_weights, (self.second, self.first), strict=False):
            if weight and teacher.uncertainty == 'none':
                raise ConfigError(
                    f'a teaching branch must learn its uncertainty for use '
                    f'{self.distillation.use!r}: set uncertainty to joint or detached, or use to '
                    'none'
                )

    def _train_fields(self) -> tuple[str, ...]:
        own = ['rgb', 'camera_matrix', 'lidar_m', 'instance']
        return (*own, *(name for source in self.sources for name in _SOURCE_FIELDS[source]))

    @property
    def branches(self) -> tuple[BranchConfig, ...]:
        """The branches that there are."""
        return tuple(branch for branch in (self.first, self.second) if branch.kind != 'none')

    @property
    def branch_names(self) -> tuple[str, ...]:
        """Names of the branches in losses and records: their kinds, with numbers for twins."""
        kinds = [branch.kind for branch in self.branches]
        if len(kinds) == 2 and kinds[0] == kinds[1]:
            return tuple(f'{kind}_{number}' for number, kind in enumerate(kinds, 1))
        return tuple(kinds)

    @property
    def sources(self) -> tuple[str, ...]:
        """All views that some branch is compared with, in one order."""
        wanted = {source for branch in self.branches for source in branch.sources}
        return tuple(source for source in SOURCES['both'] if source in wanted)

    @property
    def uses_video(self) -> bool:
        """Whether a branch is compared with other frames of the video."""
        return 'previous' in self.sources

    @property
    def learns_poses(self) -> bool:
        """Whether there is a pose network."""
        return self.uses_video and self.network.poses == 'learned'

    @property
    def taught_weights(self) -> tuple[float, ...]:
        """a and b where there are two branches; none else."""
        own = self.distillation
        return (own.to_first_weight, own.to_second_weight) if len(self.branches) == 2 else ()

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world, not of a data set on disk."""
        return not any(self._real_sets)

    @property
    def _real_sets(self) -> tuple[str, ...]:
        return self.kitti.root, self.cityscapes.root, self.bag.bag

    def protocol_of(self, split: str) -> DepthProtocol:
        """Which pixels of a split are scored."""
        if not self.kitti.root:
            return DEPTH_PROTOCOLS['world']
        improved = split == 'test' and self.kitti.truth == 'benchmark'
        return DEPTH_PROTOCOLS['kitti_eigen_benchmark' if improved else 'kitti_eigen']

    def splits(self) -> dict[str, WorldSplit]:
        """All rendered frames that the run learns from or is scored on, by name."""
        own = {name: getattr(self, name) for name in SPLIT_NAMES}
        return {**own, **preset_splits(self.test, self.presets, self.preset_count)}

    def fingerprint(self) -> str:
        """Of everything that changes the weights."""
        values = {k: v for k, v in plain(self).items() if k not in _TEACHES_NOTHING}
        values['launch'] = self.launch.bfloat16
        del values['kitti']['truth']
        return settings_digest(without_later(values, LATER))


LATER = {
    'distillation.detach_sigma': True,
    'noise.instances': '',
    'photometric.sigma_before_mask': False,
    **{f'bag.{name}': value for name, value in LATER_OF_BAGS.items()},
}
"""Settings that are younger than recorded runs, whose fingerprints must stay."""

_TEACHES_NOTHING = (
    *('cache', 'output', 'results', 'launch'),
    *('validation', 'test', 'presets', 'preset_count'),
)
