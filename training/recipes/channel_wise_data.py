# SPDX-License-Identifier: Apache-2.0
"""What channel-wise distillation learns from and is scored on: the world, or a real data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.labeled_sets import labeled_set
from training.data.modality import LabeledFrame, plain_sample, training_sample
from training.data.world import WorldData, load_world
from training.recipes.cekd_data import Frames
from training.recipes.channel_wise_config import ChannelWiseConfig

Array = npt.NDArray[Any]


def split_frames(config: ChannelWiseConfig, name: str) -> Sequence[LabeledFrame]:
    """All frames of a split, rendered if they are not there yet.

    Args:
        config: of the run.
        name: one of `config.split_names`.
    """
    if config.data_set:
        root = getattr(config, config.data_set)
        return labeled_set(config.data_set, root, name, held_out_share=config.held_out_share)
    return load_world(config.splits()[name], config.cache)


def class_shares(config: ChannelWiseConfig) -> list[float]:
    """Share of pixels per class of the training frames."""
    frames = split_frames(config, 'train')
    if isinstance(frames, WorldData):  # the same, at once
        return [float(share) for share in frames.class_shares()]
    return Frames(frames, len(frames)).class_shares(config.label_set.num_classes)


class Drawing:
    """The samples of a role, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
        role: `teacher` or `student`.
    """

    def __init__(self, config: ChannelWiseConfig, role: str) -> None:
        self._config, self._role = config, role
        self._frames: Sequence[LabeledFrame] | None = None

    def __getstate__(self) -> tuple[ChannelWiseConfig, str]:
        return self._config, self._role

    def __setstate__(self, state: tuple[ChannelWiseConfig, str]) -> None:
        self._config, self._role = state
        self._frames = None

    @property
    def frames(self) -> Sequence[LabeledFrame]:
        """What is drawn from, opened when it is needed first."""
        if self._frames is None:
            self._frames = split_frames(self._config, 'train')
        return self._frames

    def __call__(self, step: int, index: int) -> tuple[Array, Array, np.float32]:
        """A sample, a pure function of seed, role, step and index.

        All rows of one seed see the same views, whatever their terms are.

        Returns:
            Image float32 [channels, height, width] in 0 to 1, label int64 [height, width], 255
            where it is not known, and the place between student and teacher where the slope of a
            discriminator is taken, 0 to 1.
        """
        config, role = self._config, self._role
        modality = config.drawn_modality(role)
        rng = np.random.default_rng([config.seed_of(role), int(role == 'teacher'), step, index])
        mix = np.float32(rng.random())
        frame = self.frames[int(rng.integers(len(self.frames)))]
        if config.random_cameras:
            image, label = training_sample(frame, modality, rng, config.augmentation)
        else:
            image, label = plain_sample(frame, modality, rng, config.augmentation.view)
        return np.ascontiguousarray(image, np.float32), label.astype(np.int64), mix
