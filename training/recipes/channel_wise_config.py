# SPDX-License-Identifier: Apache-2.0
"""What may be set of a run of channel-wise distillation or a rival of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kd_perception.errors import ConfigError
from kd_perception.label_sets import CITYSCAPES, MFNET, PST900, LabelSet
from training.data.augmentation import AugmentationConfig
from training.data.modality import FIELDS
from training.data.world import WorldSplit
from training.distributed import LaunchConfig
from training.recipes.channel_wise_learner import OpponentConfig
from training.recipes.channel_wise_networks import NetworkConfig
from training.recipes.channel_wise_terms import NEED_EQUAL_CHANNELS, TermConfig
from training.records import RunPaths
from training.settings import plain, settings_digest

ROLES = ('teacher', 'student')

_SETS = {'mfnet': MFNET, 'pst900': PST900, 'cityscapes': CITYSCAPES}


def _small_teacher() -> NetworkConfig:
    return NetworkConfig(preset='rep_unet', modality='rgbt')


@dataclass(frozen=True)
class ChannelWiseConfig(RunPaths):
    """One run: a student and, where it learns from one, a teacher of its own or of another seed.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        stage: `student` trains both in order, `teacher` the teacher only.
        image_size: (height, width) that whole images are brought to for scoring.
        class_weighted: rare classes weigh more in cross-entropy against labels and in the terms
            of `WEIGHTED`; all weigh the same in the paper.
        teacher: the network that teaches.
        teacher_seed: of the teacher; that of the run if None.
        student: the network that learns.
        terms: what it learns from the teacher beside labels; nothing if empty.
        opponent: of `holistic` terms.
        mfnet: folder of MFNet, in place of the world; none if empty.
        pst900: folder of PST900, in place of the world; none if empty.
        cityscapes: folder of Cityscapes, in place of the world; none if empty.
        held_out_share: of the training frames of PST900 or Cityscapes that are the validation
            split in place of being learnt from, 0 to below 1: the last recordings or cities by
            name. With 0 these sets have no such split, and weights cannot be tuned on them.
        train: frames, all with labels.
        validation: frames that choose weights of terms.
        test: frames that choose nothing; of Cityscapes its own validation split, whose labels are
            public.
        random_cameras: training frames are changed as other cameras might show them; else only
            the view is random.
        augmentation: of training frames.
        launch: processes, device, number format.
        cache: folder of rendered frames.
        output: folder of checkpoints.
        results: folder of records.

    Raises:
        ConfigError: a setting is unknown or does not fit another one.
    """

    name: str = 'channel_wise'
    seed: int = 0
    stage: str = 'student'
    image_size: tuple[int, int] = (96, 128)
    class_weighted: bool = True
    teacher: NetworkConfig = field(default_factory=_small_teacher)
    teacher_seed: int | None = None
    student: NetworkConfig = field(default_factory=NetworkConfig)
    terms: tuple[TermConfig, ...] = ()
    opponent: OpponentConfig = field(default_factory=OpponentConfig)
    mfnet: str = ''
    pst900: str = ''
    cityscapes: str = ''
    held_out_share: float = 0.0
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 1500))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 200))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 300))
    random_cameras: bool = False
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/channel_wise')
    results: Path = Path('results/channel_wise')

    def __post_init__(self) -> None:
        """Check what belongs together, and let splits hold what any network may see."""
        if self.stage not in ROLES:
            raise ConfigError(f'stage must be one of {list(ROLES)}, got {self.stage!r}')
        if self.stage == 'teacher' and self.seed_of('teacher') != self.seed:
            raise ConfigError(
                'a teacher that is trained alone must have the seed of the run, got seed '
                f'{self.seed} and teacher_seed {self.teacher_seed}'
            )
        object.__setattr__(self, 'terms', tuple(self.terms))
        object.__setattr__(self, 'image_size', tuple(self.image_size))
        for name in ('train', 'validation', 'test'):
            split = replace(getattr(self, name), fields=FIELDS['rgbt'])
            object.__setattr__(self, name, split)
        self._check_frames()
        self._check_terms()

    def _check_frames(self) -> None:
        folders = {name: getattr(self, name) for name in _SETS if getattr(self, name)}
        if len(folders) > 1:
            raise ConfigError(
                f'a run learns from one data set: all but one of {list(_SETS)} must be empty, got '
                f'{folders}'
            )
        seen = {self.teacher.modality, self.student.modality}
        if self.cityscapes and seen != {'rgb'}:
            raise ConfigError(f'Cityscapes has color images alone, got modalities {sorted(seen)}')
        if not 0.0 <= self.held_out_share < 1.0:
            raise ConfigError(f'held_out_share must be 0 to below 1, got {self.held_out_share}')
        if self.held_out_share and not (self.pst900 or self.cityscapes):
            raise ConfigError(
                'held_out_share must be 0 but for PST900 and Cityscapes: the others have a '
                f'validation split; got {self.held_out_share}'
            )

    def _check_terms(self) -> None:
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise ConfigError(f'a loss may stand once on logits and once on features, got {names}')
        channels = (self.student.feature_channels, self.teacher.feature_channels)
        for term in self.terms:
            bare = term.at == 'features' and term.alignment == 'none'
            if bare and term.loss in NEED_EQUAL_CHANNELS and channels[0] != channels[1]:
                raise ConfigError(
                    f'{term.name} must have an alignment: features of the student have '
                    f'{channels[0]} channels, those of the teacher {channels[1]}'
                )
        if self.stage == 'student' and any(term.loss == 'holistic' for term in self.terms):
            view = self.augmentation.view
            self.opponent.check(self.teacher.map_size(view.height, view.width), self.launch)

    @property
    def label_set(self) -> LabelSet:
        """What the numbers of the labels mean."""
        return _SETS[self.data_set] if self.data_set else MFNET

    @property
    def data_set(self) -> str:
        """The set on disk that is learnt from, as its setting is called; empty for the world."""
        return next((name for name in _SETS if getattr(self, name)), '')

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world, not of a data set on disk."""
        return not self.data_set

    @property
    def split_names(self) -> tuple[str, ...]:
        """All splits that the run learns from or is scored on."""
        if self.rendered or self.mfnet or self.held_out_share:
            return ('train', 'validation', 'test')
        return ('train', 'test')

    def splits(self) -> dict[str, WorldSplit]:
        """All rendered frames that the run learns from or is scored on, by name; maybe none."""
        return {name: getattr(self, name) for name in self.split_names} if self.rendered else {}

    def network(self, role: str) -> NetworkConfig:
        """The network of a role."""
        return self.teacher if role == 'teacher' else self.student

    @property
    def trained_roles(self) -> tuple[str, ...]:
        """Which networks the run trains, unless they are there already."""
        if self.stage == 'teacher':
            return ('teacher',)
        return ROLES if self.terms else ('student',)

    def seed_of(self, role: str) -> int:
        """The seed of a role."""
        if role == 'student' or self.teacher_seed is None:
            return self.seed
        return self.teacher_seed

    def drawn_modality(self, role: str) -> str:
        """What is drawn of training frames for a role: what it and its teacher see."""
        teaches = role == 'teacher' or self.terms
        seen = {self.network(role).modality, *([self.teacher.modality] if teaches else [])}
        return seen.pop() if len(seen) == 1 else 'rgbt'

    def fingerprint(self, role: str) -> str:
        """Of everything that changes the weights of a role."""
        values = {k: v for k, v in plain(self).items() if k in _TEACHES}
        values |= {'network': plain(self.network(role)), 'role': role, 'seed': self.seed_of(role)}
        values['bfloat16'] = self.launch.bfloat16
        if role == 'student' and self.terms:
            values |= {'terms': plain(self)['terms'], 'teacher': self.fingerprint('teacher')}
            if any(term.loss == 'holistic' for term in self.terms):
                values['opponent'] = plain(self.opponent)
        return settings_digest(values)

    def folder_of(self, role: str) -> Path:
        """Where the checkpoints of a role are: runs that need the same teacher share it."""
        if role == 'student':
            return self.folder
        own = f'{self.fingerprint("teacher")[:16]}_seed{self.seed_of("teacher")}'
        return self.output / 'teachers' / own


_TEACHES = (
    *('class_weighted', 'mfnet', 'pst900', 'cityscapes', 'held_out_share', 'train'),
    *('random_cameras', 'augmentation'),
)
