# SPDX-License-Identifier: Apache-2.0
"""What an EPS run learns from and is scored on: tagged images, and masks made of them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.files import unfinished_files, write_atomically
from kd_perception.tagging.tag_table import Tags
from kd_perception.world_export.pictures import palette_png
from training.data.images import read_label
from training.data.modality import plain_sample
from training.data.tagged_frames import TaggedFrame, TaggedFrames, tag_sample
from training.data.tagged_sources import TaggedFolder, TaggedVOC, image_of
from training.data.voc import VOC
from training.data.world_views import load_views
from training.recipes.eps_config import EpsConfig

Array = npt.NDArray[Any]

HELD_OUT = 10
"""Of a folder of tags every so many-th image measures tags; nothing learns from its tiles."""

SCORED = ('validation', 'test')

_CLASSIFIER, _SEGMENTATION = 0, 1


class Chosen(Sequence[TaggedFrame]):
    """Some frames of a set; the tags of a folder can be had without its images."""

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
    views = ('label', 'tags', 'saliency') if saliency else ('label', 'tags')
    tags = Path(own.tags_file) if own.tags_file else None
    return VOC(own.root, own.split, views=views, tags_file=tags, saliency_folder=saliency)


def mask_path(config: EpsConfig, name: str) -> Path:
    """File of the mask of a frame."""
    return config.masks_folder / 'masks' / f'{name}.png'


def shares_path(config: EpsConfig, name: str) -> Path:
    """File of the class maps of a frame, each by its peak, float16 [classes, height, width]."""
    return config.masks_folder / 'shares' / f'{name}.npz'


def write_mask(config: EpsConfig, name: str, mask: Array) -> None:
    """Write a mask; whole and on the disk, or not at all."""
    data = palette_png(mask, config.label_set.palette)
    _write_whole(mask_path(config, name), lambda file: file.write(data))


def read_mask(config: EpsConfig, name: str) -> Array:
    """The mask of a frame, uint8 [height, width].

    Raises:
        ConfigError: it was not made yet.
    """
    path = mask_path(config, name)
    if not path.is_file():
        raise ConfigError(f'{path} must be there: run stage masks first')
    return read_label(path, config.label_set)


def write_shares(config: EpsConfig, name: str, shares: Array) -> None:
    """Write the class maps of a frame, without those that are 0; whole or not at all."""
    present = np.flatnonzero(shares.reshape(len(shares), -1).max(axis=1) > 0.0)
    arrays = {'present': present, 'shares': shares[present].astype(np.float16)}
    size = {'size': np.array(shares.shape)}
    _write_whole(shares_path(config, name), lambda file: np.savez(file, **arrays, **size))


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file into a folder that is made if needed; what a killed process left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in unfinished_files(path):
        left.unlink(missing_ok=True)
    write_atomically(path, write)


def read_shares(config: EpsConfig, name: str) -> Array:
    """Class maps of a frame, float32 [classes, height, width].

    Raises:
        ConfigError: they were not made yet.
        DatasetError: the file is damaged.
    """
    path = shares_path(config, name)
    if not path.is_file():
        raise ConfigError(f'{path} must be there: run stage masks first')
    try:
        with np.load(path, allow_pickle=False) as arrays:
            shares = np.zeros(tuple(arrays['size'].tolist()), np.float32)
            shares[arrays['present']] = arrays['shares']
    except (
        OSError, KeyError, ValueError, IndexError, EOFError, zlib.error, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise DatasetError(f'{path} is damaged: {error}. Remove it, and run again') from error
    return shares


class Drawing:
    """The samples of a stage, by step and index.

    Args:
        frames: of the run.
        stage: `classifier`: image, saliency and tags; `segmentation`: image and label.
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
        if config.segmentation.target == 'masks':
            frame = frame._replace(label=read_mask(config, frame.name))
        own = config.segmentation
        image, label = plain_sample(
            frame, own.modality, rng, own.view, shown=_is_tile_of_heat(frame)
        )
        return image.astype(np.float32), label.astype(np.int64)


def _is_tile_of_heat(frame: TaggedFrame) -> bool:
    """Whether it is shown by the limits of its whole image, see `TaggedFolder`."""
    heat = frame.thermal
    return heat is not None and heat.dtype == np.uint8 and image_of(frame.name) != frame.name
