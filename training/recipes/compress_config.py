# SPDX-License-Identifier: Apache-2.0
"""What may be set of a compression run; `training.recipes.compress` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from kd_perception.bundle import Student, load_student
from kd_perception.errors import ConfigError
from kd_perception.models import RepUNetConfig
from training.data.augmentation import AugmentationConfig
from training.data.bag import BagPairsConfig, PairingConfig
from training.data.modality import FIELDS
from training.data.world import WorldSplit, preset_splits
from training.distributed import LaunchConfig
from training.engine import LoopConfig
from training.first_weights import folder_of_seed
from training.optimization import OptimizerConfig
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_trained import ROLES, fingerprint_of
from training.recipes.channel_wise_terms import WEIGHTED, TermConfig
from training.recipes.recorded_pairs import changed_pairing, check_pairing, recorded_pairs
from training.records import RunPaths
from training.settings import load_config, plain, settings_digest


@dataclass(frozen=True)
class CompressTeacherConfig:
    """Who teaches: a network of a CEKD run that was trained before, or a bundle.

    Args:
        config: file of that run in `training/configs/cekd`; no such teacher if empty.
        seed: of that run; that of the compression if None.
        role: `student`, EKNet, which sees heat as the compressed network does, or `teacher`,
            CENet, which may see color too.
        bundle: folder of a student that teaches in its place, as `students/thermal_seg`; none if
            empty.

    Raises:
        ConfigError: the role is unknown, or there is a run and a bundle.
    """

    config: str = ''
    seed: int | None = 0
    role: str = 'student'
    bundle: str = ''

    def __post_init__(self) -> None:
        """Check the role, and that one network teaches at most."""
        if self.role not in ROLES:
            raise ConfigError(f'role must be one of {list(ROLES)}, got {self.role!r}')
        if self.config and self.bundle:
            raise ConfigError(
                f'one network teaches: config or bundle must be empty, got {self.config} and '
                f'{self.bundle}'
            )

    @property
    def is_given(self) -> bool:
        """Whether there is a teacher."""
        return bool(self.config or self.bundle)

    @property
    def modality(self) -> str:
        """What it looks at: `thermal`, `rgb`, or `rgbt` where the run alone knows which."""
        if self.bundle:
            return self.student().spec.input.modality
        return 'rgbt' if self.role == 'teacher' else 'thermal'

    def student(self) -> Student:
        """The bundle that teaches.

        Raises:
            BundleError: there is none in the folder, or it is damaged.
        """
        return _read_once(self.bundle)

    def fingerprint(self) -> list[str]:
        """Of everything that changes what is taught."""
        if self.bundle:
            return ['bundle', self.student().sha256]
        return [fingerprint_of(self.run(), self.role), self.role]

    def run(self) -> CekdConfig:
        """The configuration of the run that the teacher comes from."""
        seed = 0 if self.seed is None else self.seed
        return load_config(CekdConfig, ['--config_path', self.config, '--seed', str(seed)])


@cache
def _read_once(folder: str) -> Student:
    """A bundle of megabytes, that several settings are read off."""
    return load_student(Path(folder))


@dataclass(frozen=True)
class CompressConfig(RunPaths):
    """One run; the defaults are those of `training/configs/compress/thermal_seg_s_taught.yaml`.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        network: preset of `RepUNetConfig`.
        teacher: see `CompressTeacherConfig`.
        start_folder: of the checkpoints of a run of the same network, whose averaged weights are
            the first ones; random ones if empty. `{seed}` in it is the seed of this run.
        label_weight: of class-weighted cross-entropy against labels; 0 looks at no label, and then
            some other term must tell which class a place has, or the first weights know.
        soft_weight: of cross-entropy against the teacher's softened probabilities.
        soft_temperature: that softens them.
        reweigh: take the weights of the classes that the teacher learnt with back from its scores,
            and let them count in soft cross-entropy, as they count against labels.
        channel_wise_weight: of the divergence of the places of each channel of logits.
        channel_wise_temperature: of that.
        terms: what else is learnt from the teacher's scores, any of `channel_wise_terms.LOSSES` on
            logits but `holistic`, as `{loss: pixel_wise, weight: 10.0}`. Those that weigh places
            by class do so as labels do, without labels with `reweigh`.
        image_size: (height, width) of the network's input on the robot and where it is scored.
        prior_correction: share of the log class weights taken back from the logits, 0 to 1.
        loop: how long.
        optimizer: how.
        launch: processes, device, number format.
        bag: recording that is learnt from, in place of `train`; none if empty.
        bag_pairs: how its images are paired and registered, see `PairingConfig`.
        train: frames to learn from.
        validation: frames that choose the temperature and the seed to ship.
        test: frames that choose nothing.
        presets: worlds that the network is also scored on.
        preset_count: frames of each of them.
        random_cameras: training frames are changed as other cameras might show them; else only
            the view is random.
        augmentation: of training frames.
        cache: folder of rendered frames and of extracted recordings.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str = 'thermal_seg_s'
    seed: int = 0
    network: str = 'rep_unet_s'
    teacher: CompressTeacherConfig = field(default_factory=CompressTeacherConfig)
    start_folder: str = ''
    label_weight: float = 1.0
    soft_weight: float = 1.0
    soft_temperature: float = 2.0
    reweigh: bool = False
    channel_wise_weight: float = 3.0
    channel_wise_temperature: float = 4.0
    terms: tuple[TermConfig, ...] = ()
    image_size: tuple[int, int] = (480, 640)
    prior_correction: float = 0.5
    loop: LoopConfig = field(default_factory=LoopConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    bag: str = ''
    bag_pairs: PairingConfig = field(default_factory=PairingConfig)
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 3000))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 200))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 200))
    presets: tuple[str, ...] = ('day', 'night', 'glare', 'rain', 'fog', 'hard', 'shifted')
    preset_count: int = 100
    random_cameras: bool = True
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/compress')
    results: Path = Path('results/compress')

    def __post_init__(self) -> None:
        """Check what the terms need, and let the splits hold what is looked at."""
        RepUNetConfig.preset(self.network)
        if self.teacher.seed is None:
            object.__setattr__(self, 'teacher', replace(self.teacher, seed=self.seed))
        object.__setattr__(self, 'start_folder', folder_of_seed(self.start_folder, self.seed))
        object.__setattr__(self, 'terms', tuple(self.terms))
        self._check_terms()
        if not 0.0 <= self.prior_correction <= 1.0:
            raise ConfigError(f'prior_correction must be 0 to 1, got {self.prior_correction}')
        check_pairing(self.bag, self.bag_pairs)
        train = replace(self.train, fields=FIELDS[self.drawn_modality])
        object.__setattr__(self, 'train', train)
        for name in ('validation', 'test'):
            split = replace(getattr(self, name), fields=FIELDS['thermal'])
            object.__setattr__(self, name, split)

    def _check_terms(self) -> None:
        names = [term.name for term in self.terms]
        taught = self.soft_weight > 0 or self.channel_wise_weight > 0 or bool(names)
        weights = (self.label_weight, self.soft_weight, self.channel_wise_weight)
        if min(weights) < 0 or not (any(weights) or names):
            raise ConfigError(f'weights must be >= 0 and some term must be left, got {weights}')
        if taught != self.teacher.is_given:
            given = self.teacher.config or self.teacher.bundle
            raise ConfigError(
                'a teacher and terms that imitate it must come together, got '
                f'the teacher {given!r}, soft_weight {self.soft_weight}, '
                f'channel_wise_weight {self.channel_wise_weight} and terms {names}'
            )
        told = self.label_weight or self.soft_weight or not {*names}.isdisjoint(_TELL_CLASSES)
        if not (told or self.start_folder):
            raise ConfigError(
                'which class a place has must be told by labels, by soft_weight or by a term of '
                f'{", ".join(_TELL_CLASSES)}: the others do not see a constant that is added to '
                f'all scores of a class; got terms {names}'
            )
        if self.bag and self.label_weight:
            raise ConfigError(
                f'a recording has no labels: label_weight must be 0, got {self.label_weight}'
            )
        if self.teacher.bundle and self.reweighed:
            raise ConfigError(
                'a bundle does not know the weights of the classes that it learnt with: set '
                'reweigh to false'
            )
        for name, weight in zip(_WITH_A_WEIGHT, weights[1:], strict=True):
            if weight and f'{name}_logits' in names:
                raise ConfigError(
                    f'{name} must be told once, by a weight of its own or among terms, got both: '
                    f'set its weight, {weight}, to 0'
                )
        for term in self.terms:
            if term.at != 'logits' or term.loss == 'holistic' or names.count(term.name) > 1:
                raise ConfigError(
                    'terms must be on logits, where nothing learns beside the network, not '
                    f'holistic, and each loss once, got {names}'
                )
            if self.bag and term.loss == 'intra_class_variation':
                raise ConfigError(f'a recording has no labels, which {term.loss} needs')

    @property
    def modality(self) -> str:
        """What the network sees."""
        return 'thermal'

    @property
    def drawn_modality(self) -> str:
        """What is drawn of training frames: heat, and color where the teacher looks at it."""
        looks_at_color = self.teacher.is_given and self.teacher.modality != 'thermal'
        return 'rgbt' if looks_at_color else 'thermal'

    @property
    def recorded_pairs(self) -> BagPairsConfig:
        """What is read of the recording."""
        return recorded_pairs(self.bag, self.bag_pairs, self.train)

    @property
    def class_weighted(self) -> bool:
        """Whether any term weighs by class."""
        return self.label_weight > 0 or self.reweighed

    @property
    def reweighed(self) -> bool:
        """Whether any term counts the weights of the teacher's classes again."""
        weighted = any(term.loss in WEIGHTED for term in self.terms)
        return self.reweigh and (self.soft_weight > 0 or weighted)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.loop.steps

    @property
    def batch_size(self) -> int:
        """Samples per step."""
        return self.loop.batch_size

    def preset_splits(self) -> dict[str, WorldSplit]:
        """What is scored beside the test split: its world under other presets."""
        return preset_splits(self.test, self.presets, self.preset_count)

    def splits(self) -> dict[str, WorldSplit]:
        """All frames that the run learns from or is scored on, by name."""
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {**own, **self.preset_splits()}

    def fingerprint(self) -> str:
        """Of everything that changes the trained weights."""
        values = {k: v for k, v in plain(self).items() if k not in _TEACHES_NOTHING}
        values['launch'] = self.launch.bfloat16
        del values['bag_pairs']  # younger than recorded runs, whose fingerprints must stay
        if not self.terms:
            del values['terms']  # too
        if pairing := changed_pairing(self.bag_pairs):
            values['bag_pairs'] = pairing
        del values['teacher']['bundle']  # too
        if self.teacher.is_given:
            values['teacher'] = self.teacher.fingerprint()
        return settings_digest(values)


_WITH_A_WEIGHT = ('soft_cross_entropy', 'channel_wise')
_TELL_CLASSES = ('classes_logits', 'hint_logits', 'pixel_wise_logits', 'soft_cross_entropy_logits')
"""Terms to which a constant that is added to all scores of a class is something."""

_TEACHES_NOTHING = (
    *('cache', 'output', 'results', 'launch', 'prior_correction'),
    *('image_size', 'validation', 'test', 'presets', 'preset_count'),
)
