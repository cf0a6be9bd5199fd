# SPDX-License-Identifier: Apache-2.0
"""What may be set of a fast depth student; `training.recipes.compress_depth` trains it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNetConfig
from training.data.augmentation import JointConfig, PhotometricConfig
from training.data.depth_bag_config import LATER as LATER_OF_BAGS
from training.data.depth_bag_config import DepthBagConfig
from training.data.world import WorldSplit, preset_splits
from training.distributed import LaunchConfig
from training.engine import LoopConfig
from training.first_weights import folder_of_seed
from training.optimization import OptimizerConfig
from training.recipes.mutual_distillation_config import SCORED_FIELDS, MutualConfig
from training.records import RunPaths
from training.settings import load_config, plain, settings_digest, without_later

LABELS = ('depth', 'lidar')


@dataclass(frozen=True)
class DepthTeacherConfig:
    """Who teaches: a branch of a run of mutual distillation that was trained before.

    Args:
        config: file of that run in `training/configs/mutual_distillation`; no teacher if empty.
        seed: of that run; that of the student if None.
        branch: its name; empty for the first, which is deployed by default.
    """

    config: str = ''
    seed: int | None = 0
    branch: str = ''

    def run(self) -> MutualConfig:
        """The configuration of the run that the teacher comes from."""
        seed = 0 if self.seed is None else self.seed
        return load_config(MutualConfig, ['--config_path', self.config, '--seed', str(seed)])


def zoomed() -> JointConfig:
    """Views of half to one and a half times the size, half of them mirrored."""
    return JointConfig(scale_low=0.5, scale_high=1.5, focus_share=0.0, stretch=0.0, angle_deg=1.0)


@dataclass(frozen=True)
class CompressDepthConfig(RunPaths):
    """One run; the defaults are those of `training/configs/compress_depth/mono_depth_s.yaml`.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        network: preset of `RepUNetConfig` with two outputs.
        image_size: (height, width) of its input, multiples of 32.
        focal_px: horizontal focal length that its depth is told for, at that size; images of other
            cameras are taken for images of this one, and their depth is scaled.
        start_folder: of the checkpoints of a run whose averaged weights are started from; `{seed}`
            stands for the seed. Of the same network, whose images may be smaller if its
            `focal_px` is the same share of their width; or one of the same size that segments
            color images. Empty: random weights.
        teacher: see `DepthTeacherConfig`.
        label_weight: of the loss against true or measured depth; 0 looks at none.
        labels: `depth`, that of the world at every pixel, or `lidar`.
        distillation_weight: of the loss against the teacher.
        weighted: the teacher's pixels weigh by its own uncertainty.
        channel_wise_weight: of the loss between the places of student and teacher where it is
            near, >= 0; it knows nothing of the scale of depth.
        temperature: of that loss, > 0.
        detach_depth: depth learns from the plain error, sigma from the error without changing
            depth; else both from the likelihood.
        uncertainty_weight: of ln sigma, > 0.
        min_depth_m: nearest depth that the student is trusted with.
        max_depth_m: farthest one, of a camera of `focal_px`.
        sky_depth_m: what it is taught about the sky of the world, beyond max_depth_m, so that the
            node tells it as infinite; 0: nothing.
        view: random part of a frame; its size follows from `image_size`.
        colors: changes of what the student sees. The teacher sees clean images.
        loop: how long.
        optimizer: how.
        launch: processes, device, number format.
        bag: a recording in the place of `train`, `validation` and `test`.
        train: frames to learn from.
        validation: frames that calibrate sigma and choose the seed to ship.
        test: frames that choose nothing.
        presets: worlds that the network is also scored on.
        frame_shapes: (height, width) of other cameras whose frames of the test split's world it is
            scored on too, fitted into `image_size` as on the robot; by names such as `480x640`.
        preset_count: frames of each of these.
        cache: folder of rendered frames and of extracted recordings.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str = 'mono_depth_s'
    seed: int = 0
    network: str = 'rep_unet_depth_s'
    image_size: tuple[int, int] = (192, 640)
    focal_px: float = 400.0
    start_folder: str = ''
    teacher: DepthTeacherConfig = field(default_factory=DepthTeacherConfig)
    label_weight: float = 1.0
    labels: str = 'depth'
    distillation_weight: float = 0.0
    weighted: bool = True
    channel_wise_weight: float = 0.0
    temperature: float = 1.0
    detach_depth: bool = False
    uncertainty_weight: float = 1.0
    min_depth_m: float = 1.0
    max_depth_m: float = 80.0
    sky_depth_m: float = 100.0
    view: JointConfig = field(default_factory=zoomed)
    colors: PhotometricConfig = field(default_factory=PhotometricConfig.strong)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    bag: DepthBagConfig = field(default_factory=DepthBagConfig)
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 3000))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 200))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 200))
    presets: tuple[str, ...] = ('day', 'night', 'glare', 'rain', 'fog', 'hard', 'shifted')
    frame_shapes: tuple[tuple[int, int], ...] = ()
    preset_count: int = 100
    cache: Path = Path('runs/world')
    output: Path = Path('runs/compress_depth')
    results: Path = Path('results/compress_depth')

    def __post_init__(self) -> None:
        """Check what the terms need, and let splits and views be of one kind and size."""
        if RepUNetConfig.preset(self.network).out_channels != 2:
            raise ConfigError(f'network must have two outputs, got {self.network}')
        if self.teacher.seed is None:
            object.__setattr__(self, 'teacher', replace(self.teacher, seed=self.seed))
        object.__setattr__(self, 'start_folder', folder_of_seed(self.start_folder, self.seed))
        self._check_terms()
        if not 0.0 < self.min_depth_m < self.max_depth_m or not self.focal_px > 0.0:
            raise ConfigError(
                'depths must be 0 < min_depth_m < max_depth_m and focal_px above 0, got '
                f'{self.min_depth_m}, {self.max_depth_m} and {self.focal_px}'
            )
        if self.sky_depth_m and self.sky_depth_m <= self.max_depth_m:
            raise ConfigError(
                f'sky_depth_m must be beyond max_depth_m or 0, got {self.sky_depth_m}'
            )
        height, width = self.image_size
        object.__setattr__(self, 'image_size', (height, width))
        shapes = tuple((rows, columns) for rows, columns in self.frame_shapes)
        object.__setattr__(self, 'frame_shapes', shapes)
        object.__setattr__(self, 'view', replace(self.view, height=height, width=width))
        taught = ('rgb', 'camera_matrix', 'sky', f'{self.labels}_m')
        for name, fields in (('train', taught), ('validation', SCORED_FIELDS),
                             ('test', SCORED_FIELDS)):  # fmt: skip
            object.__setattr__(self, name, replace(getattr(self, name), fields=fields))

    def _check_terms(self) -> None:
        taught = (self.distillation_weight, self.channel_wise_weight)
        weights = (self.label_weight, *taught)
        if min(weights) < 0.0 or not any(weights):
            raise ConfigError(f'weights must be >= 0 and some term must be left, got {weights}')
        if any(taught) != bool(self.teacher.config):
            raise ConfigError(
                'a teacher and a weight of what it teaches must come together, got '
                f'teacher.config {self.teacher.config!r}, distillation_weight and '
                f'channel_wise_weight {taught}'
            )
        if self.labels not in LABELS or (self.bag.bag and self.labels != 'lidar'):
            raise ConfigError(
                f'labels must be one of {list(LABELS)}, and lidar on a recording, got '
                f'{self.labels!r}'
            )
        if not self.uncertainty_weight > 0.0:
            raise ConfigError(f'uncertainty_weight must be > 0, got {self.uncertainty_weight}')
        if not self.temperature > 0.0:
            raise ConfigError(f'temperature must be > 0, got {self.temperature}')

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world, not of a recording."""
        return not self.bag.bag

    def splits(self) -> dict[str, WorldSplit]:
        """All rendered frames that the run learns from or is scored on, by name."""
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        shaped = {
            f'{height}x{width}': self._shaped(height, width) for height, width in self.frame_shapes
        }
        return {**own, **shaped, **preset_splits(self.test, self.presets, self.preset_count)}

    def _shaped(self, height: int, width: int) -> WorldSplit:
        world = self.test.world | {'height': height, 'width': width}
        return replace(self.test, world=world, count=self.preset_count)

    def fingerprint(self) -> str:
        """Of everything that changes the trained weights."""
        values = {k: v for k, v in plain(self).items() if k not in _TEACHES_NOTHING}
        values['launch'] = self.launch.bfloat16
        if self.teacher.config:
            values['teacher'] = [self.teacher.run().fingerprint(), self.teacher.branch]
        return settings_digest(without_later(values, LATER))


LATER = {f'bag.{name}': value for name, value in LATER_OF_BAGS.items()}
"""Settings that are younger than recorded runs, whose fingerprints must stay."""

_TEACHES_NOTHING = (
    *('cache', 'output', 'results', 'launch', 'min_depth_m'),
    *('validation', 'test', 'presets', 'frame_shapes', 'preset_count'),
)
