# SPDX-License-Identifier: Apache-2.0
"""What may be set of a CEKD run; `training.recipes.cekd` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET, PST900, LabelSet
from kd_perception.models import CENetConfig, EKNetConfig
from training.baseline_networks import MFNetConfig, UNetConfig
from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.bag import BagPairsConfig, PairingConfig
from training.data.modality import FIELDS
from training.data.world import WorldSplit, preset_splits
from training.distributed import LaunchConfig
from training.recipes.cekd_networks import StudentConfig, StudentSizes, TeacherConfig
from training.recipes.recorded_pairs import changed_pairing, check_pairing, recorded_pairs
from training.records import RunPaths
from training.settings import plain, settings_digest

STAGES = ('teacher', 'student', 'joint')


@dataclass(frozen=True)
class CekdConfig(RunPaths):
    """One run: a teacher, unless one of the same settings is there, and a student.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        stage: `student` trains both in order, `teacher` the teacher only, `joint` both at once.
        image_size: (height, width) of both networks.
        class_weighted: rare classes weigh more in cross-entropy against labels; the paper has
            plain ones.
        nonnegative_logits: decoders of CENet and EKNet end with ReLU, as in the paper.
        labeled: how many of the training frames have labels, the first ones; the teacher learns
            from them. The student sees the images of all frames.
        train: frames.
        validation: frames that nothing is chosen by yet but the temperature of a bundle; PST900
            has none.
        test: frames that choose nothing.
        presets: worlds that the student is also scored on.
        preset_count: frames of each of them.
        bag: recording whose pairs of images the student learns from, in place of `train`; none
            if empty.
        bag_pairs: how they are paired and registered, see `PairingConfig`.
        mfnet: folder of MFNet, in place of the world; none if empty.
        pst900: folder of PST900, in place of the world; none if empty.
        random_cameras: training frames are changed as other cameras might show them; else only
            the view is random.
        augmentation: of training frames; the view's size follows from `image_size`.
        teacher: see `TeacherConfig`.
        student: see `StudentConfig`.
        launch: processes, device, number format.
        cache: folder of rendered frames and of extracted recordings.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str = 'cekd'
    seed: int = 0
    stage: str = 'student'
    image_size: tuple[int, int] = (96, 128)
    class_weighted: bool = True
    nonnegative_logits: bool = True
    labeled: int = 100
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 1500))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 100))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 200))
    presets: tuple[str, ...] = ()
    preset_count: int = 100
    bag: str = ''
    bag_pairs: PairingConfig = field(default_factory=PairingConfig)
    mfnet: str = ''
    pst900: str = ''
    random_cameras: bool = True
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/cekd')
    results: Path = Path('results/cekd')

    def __post_init__(self) -> None:
        """Check the stage and the data, and let splits and views be of one kind and size."""
        if self.stage not in STAGES:
            raise ConfigError(f'stage must be one of {list(STAGES)}, got {self.stage!r}')
        if self.labeled < 1:
            raise ConfigError(f'labeled must be >= 1, got {self.labeled}')
        if self.mfnet and self.pst900:
            raise ConfigError(
                'a run learns from one data set: one of mfnet and pst900 must be empty, got '
                f'{self.mfnet!r} and {self.pst900!r}'
            )
        self._check_recording()
        for name in ('train', 'validation', 'test'):
            split = replace(getattr(self, name), fields=FIELDS['rgbt'])
            object.__setattr__(self, name, split)
        height, width = self.image_size
        view: JointConfig = replace(self.augmentation.view, height=height, width=width)
        object.__setattr__(self, 'image_size', (height, width))
        object.__setattr__(self, 'augmentation', replace(self.augmentation, view=view))
        if self.student.reweigh and not self.class_weighted:
            raise ConfigError('student.reweigh needs weights of the classes: set class_weighted')
        self.teacher_network()
        self.student_network()

    def _check_recording(self) -> None:
        """Refuse to learn from a recording what it cannot tell: it has no labels."""
        check_pairing(self.bag, self.bag_pairs)
        if not self.bag:
            return
        if self.stage == 'joint':
            raise ConfigError(
                'training both at once needs labels, which a recording has not: set stage to '
                f'student, or leave bag empty; got bag {self.bag!r}'
            )
        if self.student.target in ('label', 'both'):
            raise ConfigError(
                'a recording has no labels: student.target must be teacher or none, or bag '
                f'empty, got {self.student.target!r} and {self.bag!r}'
            )

    def teacher_network(self) -> CENetConfig:
        """Sizes of the teacher."""
        return CENetConfig.preset(
            self.teacher.network,
            image_size=self.image_size,
            out_channels=self.label_set.num_classes,
            nonnegative_logits=self.nonnegative_logits,
            modality=self.teacher.modality,
            edge_stage=None if self.teacher.edges == 'none' else self.teacher.edge_stage,
        )

    def student_network(self) -> StudentSizes:
        """Sizes of the student."""
        own, classes = self.student, self.label_set.num_classes
        if own.architecture == 'unet':
            return UNetConfig.preset(own.network, out_channels=classes)
        if own.architecture == 'mfnet':
            return MFNetConfig.preset(own.network, out_channels=classes)
        return EKNetConfig.preset(
            own.network,
            image_size=self.image_size,
            out_channels=classes,
            nonnegative_logits=self.nonnegative_logits,
            enhancement=own.enhancement,
            enhancement_offset=own.enhancement_offset,
        )

    @property
    def label_set(self) -> LabelSet:
        """What the numbers of the labels mean; networks, scores and pictures follow it."""
        return PST900 if self.pst900 else MFNET

    @property
    def student_sees_labels_alone(self) -> bool:
        """Whether the student draws none but frames with labels."""
        return self.stage == 'joint' or self.student.target == 'label'

    @property
    def recorded_pairs(self) -> BagPairsConfig:
        """What is read of the recording."""
        return recorded_pairs(self.bag, self.bag_pairs, self.train)

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world, not of a data set on disk."""
        return not (self.mfnet or self.pst900)

    @property
    def split_names(self) -> tuple[str, ...]:
        """All splits that the run learns from or is scored on."""
        if self.rendered:
            return tuple(self.splits())
        return ('train', 'test') if self.pst900 else ('train', 'validation', 'test')

    def preset_splits(self) -> dict[str, WorldSplit]:
        """What is scored beside the test split: its world under other presets."""
        return preset_splits(self.test, self.presets, self.preset_count)

    def splits(self) -> dict[str, WorldSplit]:
        """All rendered frames that the run learns from or is scored on, by name."""
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {**own, **self.preset_splits()}

    def teacher_fingerprint(self) -> str:
        """Of everything that changes the weights of the teacher."""
        return settings_digest({k: v for k, v in self._teaching_values().items() if k in _TEACHES})

    def fingerprint(self) -> str:
        """Of everything that changes the weights of the student."""
        return settings_digest(self._teaching_values())

    def _teaching_values(self) -> dict[str, Any]:
        """What weights depend on: neither where a run trains nor what it is scored on."""
        values = {k: v for k, v in plain(self).items() if k not in _TEACHES_NOTHING}
        # These are younger than recorded runs, whose fingerprints must stay as they were.
        del values['bag_pairs']
        if pairing := changed_pairing(self.bag_pairs):
            values['bag_pairs'] = pairing
        if not self.pst900:
            del values['pst900']
        if self.student.architecture == 'eknet':
            del values['student']['architecture']
        if not self.student.reweigh:
            del values['student']['reweigh']
        return {**values, 'launch': self.launch.bfloat16}

    @property
    def teacher_folder(self) -> Path:
        """Where the teacher's checkpoints are: runs that need the same teacher share it."""
        return self.output / 'teachers' / f'{self.teacher_fingerprint()[:16]}_seed{self.seed}'


_TEACHES_NOTHING = (
    *('cache', 'output', 'results', 'launch'),
    *('validation', 'test', 'presets', 'preset_count'),
)
_TEACHES = (
    *('seed', 'image_size', 'class_weighted', 'nonnegative_logits', 'labeled'),
    *('train', 'mfnet', 'pst900', 'random_cameras', 'augmentation', 'teacher', 'launch'),
)
