# SPDX-License-Identifier: Apache-2.0
"""What may be set of an EPS run; `training.recipes.eps` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET, VOC21, LabelSet, bit_rule_color
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.command import TAGS_FILE
from training.data.paired_world import with_pairs
from training.data.tagged_folder import TaggedFolder
from training.data.tagged_frames import MODALITIES
from training.data.world import WorldSplit
from training.data.world_views import COLOR_DETECTORS, HEAT_DETECTORS, WorldViewConfig, class_ids
from training.distributed import LaunchConfig
from training.pseudo_masks import MaskConfig
from training.recipes.eps_parts import SCORING, ClassifierConfig, SegmentationConfig
from training.recipes.eps_sources import VocConfig, check_tiling, folder_source
from training.records import RunPaths
from training.settings import plain, settings_digest

STAGES = ('classifier', 'masks', 'segmentation')


@dataclass(frozen=True)
class EpsConfig(RunPaths):
    """One run: a classifier, unless one of the same settings is there, its masks, a network.

    Args:
        name: of the configuration.
        seed: of initialization, batches and augmentation.
        stage: where the run ends: `classifier`, `masks` or `segmentation`.
        classes: of the world that are tagged; VOC and a folder have their own.
        modality: what the classifier sees: `rgb` or `thermal`; a folder has its own.
        views: of the frames of the world.
        train: frames of the world that are tagged.
        validation: frames that the temperature of a bundle is fitted on.
        test: frames that choose nothing.
        test_count: crops of validation and test at most, each; 0 for all.
        voc: PASCAL VOC in place of the world.
        tagged: folder of `kd-perception tag` in place of the world; none if empty. Every tenth of
            its images, with all its tiles, is kept for measuring tags.
        saliency: of `tagged`: folder of maps or name of a detector.
        tagged_size: (height, width) that its frames are brought to, multiples of 32; as they are
            if empty. With frames cut into tiles it is that of a tile, while the student's
            `segmentation.image_size` is that of all tiles together.
        classifier: see `ClassifierConfig`.
        masks: see `MaskConfig`.
        segmentation: see `SegmentationConfig`.
        launch: processes, device, number format.
        cache: folder of rendered frames.
        output: folder of checkpoints and masks.
        results: folder of records.
    """

    name: str = 'eps'
    seed: int = 0
    stage: str = 'masks'
    classes: tuple[str, ...] = ('car', 'person', 'bike', 'color_cone')
    modality: str = 'rgb'
    views: WorldViewConfig = field(default_factory=WorldViewConfig)
    train: WorldSplit = field(default_factory=lambda: WorldSplit('train', 0, 500))
    validation: WorldSplit = field(default_factory=lambda: WorldSplit('val', 0, 100))
    test: WorldSplit = field(default_factory=lambda: WorldSplit('test', 0, 100))
    test_count: int = 200
    voc: VocConfig = field(default_factory=VocConfig)
    tagged: str = ''
    saliency: str = ''
    tagged_size: tuple[int, ...] = ()
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    cache: Path = Path('runs/world')
    output: Path = Path('runs/eps')
    results: Path = Path('results/eps')

    def __post_init__(self) -> None:
        """Check that the parts belong together; a folder brings its classes and its modality."""
        if self.stage not in STAGES:
            raise ConfigError(f'stage must be one of {", ".join(STAGES)}, got {self.stage!r}')
        if self.voc.root and self.tagged:
            raise ConfigError('a run learns from one source: voc.root or tagged must be empty')
        if self.modality not in MODALITIES:
            raise ConfigError(f'modality must be one of {list(MODALITIES)}, got {self.modality!r}')
        if self.saliency and not self.tagged:
            raise ConfigError('saliency is that of tagged; the world has views.saliency')
        object.__setattr__(self, 'classes', tuple(self._own_classes()))
        object.__setattr__(self, 'tagged_size', tuple(self.tagged_size))
        if self.tagged_size and (
            len(self.tagged_size) != 2 or any(side < 32 or side % 32 for side in self.tagged_size)
        ):
            raise ConfigError(
                f'tagged_size must be two multiples of 32, or empty, got {self.tagged_size}'
            )
        if self.tagged:
            self._take_from(self.tagged_folder())
        self._check_source()
        unknown = set(self.classifier.background_classes) - set(self.classes)
        if unknown:
            raise ConfigError(
                f'background_classes must be among {list(self.classes)}, got {sorted(unknown)}'
            )

    def _own_classes(self) -> tuple[str, ...]:
        if self.voc.root:
            return VOC21.names[1:]
        if self.tagged:
            return read_tag_table(Path(self.tagged) / TAGS_FILE).classes
        class_ids(self.classes)
        return self.classes

    def _take_from(self, folder: TaggedFolder) -> None:
        """Take over the modality of a folder; its frames must fit the student."""
        object.__setattr__(self, 'modality', folder.modality)
        seen = replace(self.segmentation, modality=folder.modality)
        object.__setattr__(self, 'segmentation', seen)
        if self.stage == 'segmentation':
            check_tiling(folder.frame_size, folder.grid, self.tagged_size, seen.image_size)

    def _check_source(self) -> None:
        """What a source lacks."""
        if self.voc.root and 'thermal' in (self.modality, self.segmentation.modality):
            raise ConfigError('VOC has color alone: modality must be rgb')
        if self.tagged and self.segmentation.target == 'label':
            raise ConfigError(
                'labels of a folder of tags are for scoring alone: segmentation.target must be '
                'masks or salient_tags'
            )
        if self.masks.background == 'learned' and self.classifier.method != 'eps':
            raise ConfigError(
                'masks.background learned needs the background map of EPS: classifier.method must '
                f'be eps, got {self.classifier.method}'
            )
        if self.voc.root and not self.voc.saliency and self._looks_at_saliency():
            raise ConfigError('saliency on VOC needs voc.saliency, a folder of saliency maps')

    def _looks_at_saliency(self) -> bool:
        if self.stages == ('segmentation',):
            return self.segmentation.target == 'salient_tags'
        return self.classifier.method == 'eps' or self.masks.background == 'saliency'

    def tagged_folder(self) -> TaggedFolder:
        """The folder of tagged frames, of a run that has one."""
        return TaggedFolder(self.tagged, self.saliency, self.tagged_size)

    @property
    def stages(self) -> tuple[str, ...]:
        """What the run does; a control that needs neither classifier nor masks goes without."""
        if self.stage == 'segmentation' and self.segmentation.target != 'masks':
            return ('segmentation',)
        return STAGES[: STAGES.index(self.stage) + 1]

    @property
    def rendered(self) -> bool:
        """Whether images are views of the world."""
        return not (self.voc.root or self.tagged)

    @property
    def trained_on(self) -> str:
        """What the images are, for records: `synthetic`, `real`, or that it is not known."""
        if self.tagged:
            return self.tagged_folder().origin
        return 'synthetic' if self.rendered else 'real'

    def saliency_source(self) -> dict[str, Any]:
        """Where saliency comes from, for records: `source`, and what is known of it."""
        if not self._looks_at_saliency():
            return {'source': 'none'}
        if self.voc.root:
            return {'source': 'folder of maps'}
        if self.tagged:
            return folder_source(self.tagged_folder().saliency)
        if self.views.saliency in (*COLOR_DETECTORS, *HEAT_DETECTORS):
            return {'source': 'detector', 'name': self.views.saliency}
        return {'source': self.views.saliency}

    @property
    def label_set(self) -> LabelSet:
        """Background and the classes of the tags, with colors."""
        if self.voc.root:
            return VOC21
        known = dict(zip(MFNET.names, MFNET.colors, strict=True))
        colors = (known.get(name, bit_rule_color(k + 1)) for k, name in enumerate(self.classes))
        return LabelSet('the tags', ('background', *self.classes), ((0, 0, 0), *colors))

    def splits(self) -> dict[str, WorldSplit]:
        """The frames of the world by name, in pairs where the views say so; none of others."""
        if not self.rendered:
            return {}
        own = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {k: with_pairs(v) if self.views.pairs else v for k, v in own.items()}

    def classifier_fingerprint(self) -> str:
        """Of everything that changes the weights of the classifier."""
        return settings_digest(
            self._source_values | {'modality': self.modality, 'classifier': plain(self.classifier)}
        )

    def shares_fingerprint(self) -> str:
        """Of everything that changes the class maps."""
        own: dict[str, Any] = {'scales': self.masks.scales, 'flip': self.masks.flip}
        if self.masks.background == 'learned':
            own['background'] = self.masks.background
        return settings_digest({'classifier': self.classifier_fingerprint(), **own})

    def masks_fingerprint(self) -> str:
        """Of everything that changes the masks."""
        masks = plain(self.masks)
        del masks['thresholds']
        return settings_digest({'shares': self.shares_fingerprint(), 'masks': masks})

    def fingerprint(self) -> str:
        """Of everything that changes the weights of the segmentation network."""
        own = {k: v for k, v in plain(self.segmentation).items() if k not in SCORING}
        learnt_from: Any = self._source_values
        if self.segmentation.target == 'masks':
            learnt_from = self.masks_fingerprint()
        return settings_digest({'from': learnt_from, 'segmentation': own})

    @cached_property
    def _source_values(self) -> dict[str, Any]:
        """Read once: the tags of a folder may change while a run learns from them."""
        values: dict[str, Any] = {
            'seed': self.seed, 'bfloat16': self.launch.bfloat16, 'classes': self.classes,
        }  # fmt: skip
        if self.voc.root:
            return values | {'voc': plain(self.voc)}
        if self.tagged:
            folder = self.tagged_folder()
            detector = folder.saliency.source if folder.saliency.detected else ''
            return values | {'tagged': [folder.digest(), detector, self.tagged_size]}
        split = self.splits()['train']
        return values | {'train': [split.key(), split.count], 'views': plain(self.views)}

    # Folders are named by what their content follows from: runs that need the same share it, and
    # whoever tags more images, or changes a setting, gets new ones.

    @cached_property
    def folder(self) -> Path:
        """Where the checkpoints of the segmentation network are."""
        return self._folder(self.name, self.fingerprint())

    @cached_property
    def classifier_folder(self) -> Path:
        """Where those of the classifier are."""
        return self._folder('classifiers', self.classifier_fingerprint())

    @cached_property
    def shares_folder(self) -> Path:
        """Where the class maps are."""
        return self._folder('shares', self.shares_fingerprint())

    @cached_property
    def masks_folder(self) -> Path:
        """Where the masks are."""
        return self._folder('masks', self.masks_fingerprint())

    def _folder(self, part: str, fingerprint: str) -> Path:
        return self.output / part / f'{fingerprint[:16]}_seed{self.seed}'
