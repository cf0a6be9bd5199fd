# SPDX-License-Identifier: Apache-2.0
"""What an EPS run learns from and is scored on: tagged images, and masks made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.tagging.frame_names import image_of
from kd_perception.tagging.tag_table import Tags
from training.data.modality import plain_sample
from training.data.tagged_folder import TaggedFolder
from training.data.tagged_frames import TaggedFrame, TaggedFrames, is_shown, tag_sample
from training.data.tagged_voc import TaggedVOC
from training.data.voc import VOC, lacks_masks
from training.data.world_views import load_views
from training.pseudo_masks import salient_tags
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_mask_files import read_mask

Array = npt.NDArray[Any]

HELD_OUT = 10
"""Of a folder of tags every so many-th image measures tags; nothing learns from its tiles."""

SCORED = ('validation', 'test')

_CLASSIFIER, _SEGMENTATION = 0, 1


class Chosen(Sequence[TaggedFrame]):
    """Some frames of a set; a folder also gives their tags alone, and the whole images."""

    def __init__(self, frames: TaggedFrames, rows: Sequence[int]) -> None:
        self._frames, self._rows = frames, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        return self._frames[self._rows[index]]

    def tags(self) -> dict[str, Tags]:
        """Tags by the name of the frame, of frames of a folder."""
        folder: Any = self._frames
        names = (folder.names[row] for row in self._rows)
        return {name: folder.tags[name] for name in names}

    def images(self) -> WholeImages:
        """The whole images that frames of a folder are tiles of, as far as they have labels."""
        folder: Any = self._frames
        return WholeImages(folder, [folder.names[row] for row in self._rows])


class WholeImages(Sequence[TaggedFrame]):
    """Images of a folder, put together of their tiles, as the robot sees them.

    Args:
        folder: of tagged frames.
        names: of frames; each of their images comes once, if it has a label.
    """

    def __init__(self, folder: TaggedFolder, names: Sequence[str]) -> None:
        self._folder = folder
        images = {image_of(name): name for name in names}
        self._names = [name for name in images.values() if folder.is_labeled(name)]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Any:
        return self._folder.whole(self._names[index])


class RunFrames:
    """The splits of a run, each loaded when it is asked for first; a process sends no pixels.

    Args:
        config: of the run.
    """

    def __init__(self, config: EpsConfig) -> None:
        self.config = config
        self._loaded: dict[str, TaggedFrames] = {}

    def __getstate__(self) -> EpsConfig:
        return self.config

    def __setstate__(self, state: EpsConfig) -> None:
        self.config, self._loaded = state, {}

    def __getitem__(self, name: str) -> TaggedFrames:
        """`train`, `validation` or `test`, see `load_frames`."""
        if name not in self._loaded:
            self._loaded[name] = load_frames(self.config, name)
        return self._loaded[name]

    def labeled(self, name: str) -> TaggedFrames:
        """Frames of a split that have labels, as the robot sees them: whole images of a folder."""
        found: Any = self[name]
        return found.images() if self.config.tagged else found


def load_frames(config: EpsConfig, name: str) -> TaggedFrames:
    """Tagged images of a split.

    Args:
        config: of the run.
        name: `train`, `validation` or `test`; VOC has no validation split, and that of a folder is
            its test split.

    Raises:
        ConfigError: no frame is left.
    """
    if config.voc.root:
        return TaggedVOC(_voc(config, name))
    if config.tagged:
        folder = config.tagged_folder()
        return Chosen(folder, _rows_of(folder, held_out=name != 'train'))
    views = config.views
    if name != 'train' and views.kind == 'crops':
        views = replace(views, count=config.test_count)
    own = {'train': config.train, 'validation': config.validation, 'test': config.test}
    return load_views(own[name], config.classes, views, config.cache)


def _rows_of(folder: TaggedFolder, *, held_out: bool) -> list[int]:
    """Rows of the images that measure, or of the others; tiles of one image stay together."""
    images = list(dict.fromkeys(image_of(name) for name in folder.names))
    measuring = set(images[HELD_OUT - 1 :: HELD_OUT])
    return [k for k, name in enumerate(folder.names) if (image_of(name) in measuring) == held_out]


def _voc(config: EpsConfig, name: str) -> VOC:
    own = config.voc
    if name != 'train':
        return VOC(own.root, own.test_split, views=('label', 'tags'))
    saliency = Path(own.saliency) if own.saliency else None
    tags = Path(own.tags_file) if own.tags_file else None
    views = ['tags', 'saliency'] if saliency else ['tags']
    if tags is None or not lacks_masks(Path(own.root), own.split):
        views.append('label')
    return VOC(own.root, own.split, views=views, tags_file=tags, saliency_folder=saliency)


class Drawing:
    """The samples of a stage, by step and index.

    Args:
        frames: of the run.
        stage: `classifier`: image, saliency and tags; `segmentation`: image and what it learns.
    """

    def __init__(self, frames: RunFrames, stage: str) -> None:
        self._frames, self._stage = frames, stage

    def __call__(self, step: int, index: int) -> tuple[Array, ...]:
        """A sample: a pure function of seed, stage, step and index."""
        config, frames = self._frames.config, self._frames['train']
        if self._stage == 'classifier':
            rng = np.random.default_rng([config.seed, _CLASSIFIER, step, index])
            frame = frames[int(rng.integers(len(frames)))]
            return tag_sample(frame, config.modality, rng, config.classifier.view)
        rng = np.random.default_rng([config.seed, _SEGMENTATION, step, index])
        frame = frames[int(rng.integers(len(frames)))]
        own = config.segmentation
        frame = frame._replace(label=target_of(frame, config))
        image, label = plain_sample(frame, own.modality, rng, own.view, shown=is_shown(frame))
        return image.astype(np.float32), label.astype(np.int64)


def target_of(frame: TaggedFrame, config: EpsConfig) -> Array:
    """What the segmentation network learns of a frame, uint8 [height, width].

    Raises:
        ConfigError: its mask was not made yet, or it has no saliency or no label.
    """
    target = config.segmentation.target
    if target == 'masks':
        return read_mask(config, frame.name)
    found = frame.saliency if target == 'salient_tags' else frame.label
    if found is None:
        raise ConfigError(f'segmentation.target {target} needs more than {frame.name} has')
    return found if target == 'label' else salient_tags(found, frame.tags)
