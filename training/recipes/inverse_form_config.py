# SPDX-License-Identifier: Apache-2.0
"""What may be set of an InverseForm run; `training.recipes.inverse_form` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.label_sets import CITYSCAPES, MFNET, NYU40, LabelSet
from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.modality import FIELDS, check_modality
from training.data.world import WorldSplit, preset_splits
from training.distributed import LaunchConfig
from training.recipes.cekd_config import CekdConfig
from training.recipes.inverse_form_host_settings import HostConfig, check_host
from training.recipes.inverse_form_settings import BoundaryStudentConfig, InverseConfig
from training.records import RunPaths
from training.settings import plain, settings_digest

STAGES = ('inverse', 'student')
CLASS_WEIGHTS = ('shares', 'batch', 'none')

_SETS = {'mfnet': MFNET, 'nyu': NYU40, 'cityscapes': CITYSCAPES}
_WITHOUT_HEAT = ('nyu', 'cityscapes')
_OF_ONE_SIZE = ('eknet', 'cenet')


@dataclass(frozen=True)
class InverseFormConfig(RunPaths):
    """One run: an inverse network, unless one of the same settings is there, and a student.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        stage: `student` trains both in order, `inverse` the inverse network only, whose record is
            `<name>_inverse`: that of a student that is there already stays.
        modality: what the student sees: `thermal`, `rgb` or `rgbt`.
        image_size: (height, width) of the student's input on the robot and where it is scored.
        view_size: (height, width) of training views; `image_size` if None.
        class_weights: of cross-entropy against labels: by the `shares` of the training frames, by
            those of the `batch` as in the authors' code (not with a host), or `none`.
        boundary_radius_px: how far boundaries reach to either side.
        labeled: how many of the training frames have labels, the first ones; all if None.
        host: see `HostConfig`.
        train: frames.
        validation: frames that choose nothing yet but the temperature of a bundle.
        test: frames that choose nothing.
        presets: worlds that the student is also scored on.
        preset_count: frames of each of them.
        mfnet: folder of MFNet, in place of the world; none if empty.
        nyu: folder of NYU-Depth-v2, converted or as published; none if empty.
        cityscapes: folder of Cityscapes; none if empty.
        random_cameras: training frames are changed as other cameras might show them; else only
            the view is random.
        augmentation: of training frames; the view's size follows from `view_size`.
        prior_correction: share of the log class weights taken back from the exported logits, 0 to
            1; `rep_unet` with `shares` only.
        inverse: see `InverseConfig`.
        student: see `BoundaryStudentConfig`.
        launch: processes, device, number format.
        cache: folder of rendered frames.
        output: folder of checkpoints.
        results: folder of records.
    """

    name: str = 'inverse_form'
    seed: int = 0
    stage: str = 'student'
    modality: str = 'thermal'
    image_size: tuple[int, int] = (480, 640)
    view_size: tuple[int, int] | None = None
    class_weights: str = 'shares'
    boundary_radius_px: float = 2.0
    labeled: int | None = None
    host: HostConfig = field(default_factory=HostConfig)
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 1500))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 100))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 300))
    presets: tuple[str, ...] = ()
    preset_count: int = 100
    mfnet: str = ''
    nyu: str = ''
    cityscapes: str = ''
    random_cameras: bool = True
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    prior_correction: float = 0.0
    inverse: InverseConfig = field(default_factory=InverseConfig)
    student: BoundaryStudentConfig = field(default_factory=BoundaryStudentConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/inverse_form')
    results: Path = Path('results/inverse_form')

    def __post_init__(self) -> None:
        """Check what must fit together, and let splits and views be of one kind and size."""
        check_modality(self.modality)
        for name, known in (('stage', STAGES), ('class_weights', CLASS_WEIGHTS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {list(known)}, got {getattr(self, name)!r}'
                )
        if self.labeled is not None and self.labeled < 1:
            raise ConfigError(f'labeled must be >= 1, or None for all frames, got {self.labeled}')
        self._check_data()
        self._set_sizes()
        if self.host.recipe != 'none' and self.host.seed is None:
            object.__setattr__(self, 'host', replace(self.host, seed=self.seed))
        self._check_host()
        if self.stage == 'inverse' or self.student.needs_inverse:
            self.inverse.check_maps(self.drawn_size)
        modalities = {'train': self.drawn_modality, **dict.fromkeys(_SCORED, self.modality)}
        for name, modality in modalities.items():
            split = replace(getattr(self, name), fields=FIELDS[modality])
            object.__setattr__(self, name, split)

    def _check_data(self) -> None:
        chosen = [name for name in _SETS if getattr(self, name)]
        if len(chosen) > 1:
            raise ConfigError(f'a run learns from one data set, got {chosen}')
        if chosen and chosen[0] in _WITHOUT_HEAT and self.modality != 'rgb':
            raise ConfigError(f'modality must be rgb with {chosen[0]}, got {self.modality!r}')
        corrected = self.student.architecture == 'rep_unet' and self.class_weights == 'shares'
        if not 0.0 <= self.prior_correction <= 1.0 or (self.prior_correction and not corrected):
            raise ConfigError(
                'prior_correction must be 0 to 1, and 0 but for rep_unet with class_weights '
                f'shares, got {self.prior_correction}'
            )

    def _set_sizes(self) -> None:
        """Make tuples of lists, and let the view have its size."""
        height, width = self.image_size
        object.__setattr__(self, 'image_size', (height, width))
        if self.view_size is not None:
            height, width = self.view_size
            object.__setattr__(self, 'view_size', (height, width))
        view: JointConfig = replace(self.augmentation.view, height=height, width=width)
        object.__setattr__(self, 'augmentation', replace(self.augmentation, view=view))
        if self.drawn_size != self.image_size and self.student.architecture in _OF_ONE_SIZE:
            raise ConfigError(
                f'view_size must be image_size with {self.student.architecture}, which is built '
                f'for one size, got {self.view_size} and {self.image_size}'
            )

    def _check_host(self) -> None:
        if self.student.outlines == 'teacher' and not self.host.has_teacher:
            raise ConfigError('outlines of the teacher need a host that has one')
        if (run := self.host.run()) is not None:
            check_host(
                run, self.student, modality=self.modality, class_weights=self.class_weights,
                labeled=self.labeled, view_size=self.drawn_size,
            )  # fmt: skip

    @property
    def drawn_size(self) -> tuple[int, int]:
        """(height, width) of training views."""
        view = self.augmentation.view
        return view.height, view.width

    @property
    def data_set(self) -> str:
        """`world`, or the real set that is in its place."""
        return next((name for name in _SETS if getattr(self, name)), 'world')

    @property
    def label_set(self) -> LabelSet:
        """What the numbers of the labels mean."""
        return _SETS.get(self.data_set, MFNET)

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world."""
        return self.data_set == 'world'

    @property
    def drawn_modality(self) -> str:
        """What is drawn of training frames: what the student sees, and what its teacher does."""
        run = self.host.run()
        if run is None:
            return self.modality
        return 'rgbt' if isinstance(run, CekdConfig) else run.drawn_modality

    @property
    def split_names(self) -> tuple[str, ...]:
        """All splits that the run learns from or is scored on."""
        if self.rendered:
            return tuple(self.splits())
        return ('train', 'validation', 'test') if self.mfnet else ('train', 'test')

    def splits(self) -> dict[str, WorldSplit]:
        """All rendered frames that the run learns from or is scored on, by name."""
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {**own, **preset_splits(self.test, self.presets, self.preset_count)}

    def inverse_fingerprint(self) -> str:
        """Of everything that changes the weights of the inverse network."""
        values = plain(self)
        chosen = {name: values[name] for name in _TEACHES_INVERSE}
        chosen['train'] = {k: v for k, v in values['train'].items() if k != 'fields'}
        chosen['inverse'] = self._taught_inverse()
        if self.inverse.sampler == 'stn':
            chosen |= {name: values[name] for name in _TEACHES_TRANSFORMER}
        else:
            chosen['view'] = values['augmentation']['view']
        return settings_digest({**chosen, 'launch': self.launch.bfloat16})

    def fingerprint(self) -> str:
        """Of everything that changes the weights of the student."""
        values = {k: v for k, v in plain(self).items() if k not in _TEACHES_NOTHING}
        values['inverse'] = self._taught_inverse()
        if not self.student.needs_inverse:
            del values['inverse']['loop'], values['inverse']['optimizer']
        if (run := self.host.run()) is not None:
            values['host'] = [self.host.recipe, run.fingerprint()]
        return settings_digest({**values, 'launch': self.launch.bfloat16})

    def _taught_inverse(self) -> dict[str, Any]:
        """The settings of stage 1 without those that only refuse its network."""
        values: dict[str, Any] = plain(self.inverse)
        del values['min_explained'], values['transformer']['min_spread']
        del values['transformer']['max_mean']
        if self.inverse.sampler != 'stn':
            del values['transformer']
        return values

    @property
    def record_name(self) -> str:
        """Of the record: stage 1 alone has one of its own, beside that of the student."""
        return f'{self.name}_inverse' if self.stage == 'inverse' else self.name

    @property
    def inverse_folder(self) -> Path:
        """Where the inverse network is: runs that need the same one share it."""
        return self.output / 'inverse' / f'{self.inverse_fingerprint()[:16]}_seed{self.seed}'


_SCORED = ('validation', 'test')
_TEACHES_NOTHING = (
    *('cache', 'output', 'results', 'launch', 'stage', 'prior_correction'),
    *('validation', 'test', 'presets', 'preset_count', 'image_size', 'view_size'),
)
_TEACHES_INVERSE = (*('seed', 'boundary_radius_px', 'labeled', 'mfnet', 'nyu', 'cityscapes'),)
_TEACHES_TRANSFORMER = ('modality', 'random_cameras', 'augmentation', 'class_weights', 'host')
