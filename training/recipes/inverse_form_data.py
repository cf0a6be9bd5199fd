# SPDX-License-Identifier: Apache-2.0
"""What InverseForm learns from: frames with labels, of the world or of a real data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.labeled_sets import labeled_set
from training.data.modality import LabeledFrame, plain_sample, training_sample
from training.data.nyu import NyuConverted
from training.data.nyu_mat import NyuMat, read_class_mapping, read_splits
from training.data.world import load_world
from training.recipes.cekd_data import Frames, hidden
from training.recipes.inverse_form_config import InverseFormConfig

Array = npt.NDArray[Any]

_NYU_MAT = 'nyu_depth_v2_labeled.mat'


def split_frames(config: InverseFormConfig, name: str) -> Sequence[LabeledFrame]:
    """All frames of a split, rendered if they are not there yet.

    Args:
        config: of the run.
        name: one of `config.split_names`.
    """
    if config.mfnet:
        return labeled_set('mfnet', config.mfnet, name)
    if config.cityscapes:
        return labeled_set('cityscapes', config.cityscapes, name)
    found: Any = (
        _nyu_frames(Path(config.nyu), name)
        if config.nyu
        else load_world(config.splits()[name], config.cache)
    )
    frames: Sequence[LabeledFrame] = found
    return frames


def _nyu_frames(root: Path, name: str) -> NyuConverted | NyuMat:
    if not (root / _NYU_MAT).is_file():
        return NyuConverted(root, name)
    train, test = read_splits(root / 'splits.mat')
    return NyuMat(
        root / _NYU_MAT,
        train if name == 'train' else test,
        classes=read_class_mapping(root / 'classMapping40.mat'),
        views=('label',),
    )


def labeled_count(config: InverseFormConfig, frames: Sequence[LabeledFrame]) -> int:
    """How many of the training frames have labels, the first ones."""
    return len(frames) if config.labeled is None else min(config.labeled, len(frames))


def class_shares(config: InverseFormConfig) -> Array:
    """Share of pixels per class in the labels of the training frames, float64 [classes]."""
    frames = split_frames(config, 'train')
    seen = Frames(frames, labeled_count(config, frames))
    return np.array(seen.class_shares(config.label_set.num_classes))


class Drawing:
    """The samples of stage 2, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
        labeled_only: draw frames whose labels may be seen.
    """

    def __init__(self, config: InverseFormConfig, *, labeled_only: bool = False) -> None:
        self._config, self._labeled_only = config, labeled_only
        self._modality = config.drawn_modality
        self._frames: Sequence[LabeledFrame] | None = None

    def __getstate__(self) -> tuple[InverseFormConfig, bool]:
        return self._config, self._labeled_only

    def __setstate__(self, state: tuple[InverseFormConfig, bool]) -> None:
        self.__init__(state[0], labeled_only=state[1])  # type: ignore[misc]

    @property
    def frames(self) -> Sequence[LabeledFrame]:
        """What is drawn from, opened when it is needed first."""
        if self._frames is None:
            self._frames = split_frames(self._config, 'train')
        return self._frames

    def __call__(self, step: int, index: int) -> tuple[Array, Array]:
        """A sample, a pure function of seed, step and index.

        Returns:
            Image float32 [channels, height, width] in 0 to 1, and label int64 [height, width], 255
            where it is not known.
        """
        config = self._config
        rng = np.random.default_rng([config.seed, step, index])
        labeled = labeled_count(config, self.frames)
        number = int(rng.integers(labeled if self._labeled_only else len(self.frames)))
        frame = self.frames[number]
        if number >= labeled:
            frame = hidden(frame)
        if config.random_cameras:
            image, label = training_sample(frame, self._modality, rng, config.augmentation)
        else:
            image, label = plain_sample(frame, self._modality, rng, config.augmentation.view)
        # Color comes pixel by pixel; in that layout torch's convolutions of few channels crash on
        # some processors.
        return np.ascontiguousarray(image, np.float32), label.astype(np.int64)
