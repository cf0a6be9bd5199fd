# SPDX-License-Identifier: Apache-2.0
"""What a compressed network learns from: rendered frames, or a recording without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.bag import load_bag
from training.data.modality import LabeledFrame, plain_sample, training_sample
from training.data.world import described, load_world
from training.recipes.cekd_data import hidden
from training.recipes.compress_config import CompressConfig
from training.recipes.recorded_pairs import described_pairs

Array = npt.NDArray[Any]


class _Unlabeled(Sequence[LabeledFrame]):
    """Frames with a label that says 255 everywhere."""

    def __init__(self, frames: Sequence[LabeledFrame]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Any:
        return hidden(self._frames[index])


def training_frames(config: CompressConfig) -> Sequence[LabeledFrame]:
    """What is drawn from: the frames of `bag` if there is one, else those of `train`.

    Without `label_weight` their labels are hidden: nor may they say where a view is laid.
    """
    if config.bag:
        return _Unlabeled(load_bag(config.recorded_pairs, config.cache))
    frames = load_world(config.train, config.cache)
    return frames if config.label_weight else _Unlabeled(frames)


def notes_of(config: CompressConfig) -> dict[str, Any]:
    """What a run that begins learns from, for its checkpoint."""
    if config.bag:
        return {'recording': described_pairs(config.recorded_pairs, config.cache)}
    return {'frames': described(load_world(config.train, config.cache))}


def learnt_from(notes: Mapping[str, Any]) -> dict[str, Any]:
    """`key` and `digest` of what a run learnt from, `class_shares` of rendered frames.

    Args:
        notes: of its checkpoint; those of older runs from recordings tell nothing.
    """
    found: dict[str, Any] = notes.get('frames') or notes.get('recording', {})
    return found


def frame_keys(notes: Mapping[str, Any], config: CompressConfig) -> dict[str, Any]:
    """`frame_keys` of all that a run looked at, and `recording` where it learnt from one."""
    keys = {name: split.key() for name, split in config.splits().items()}
    if not config.bag:
        return {'frame_keys': keys}
    recording = notes.get('recording', {})
    return {'frame_keys': {**keys, 'train': recording.get('key')}, 'recording': recording}


class Drawing:
    """The samples of a run, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
    """

    def __init__(self, config: CompressConfig) -> None:
        self._config = config
        self._frames: Sequence[LabeledFrame] | None = None

    def __getstate__(self) -> CompressConfig:
        return self._config

    def __setstate__(self, state: CompressConfig) -> None:
        self._config, self._frames = state, None

    @property
    def frames(self) -> Sequence[LabeledFrame]:
        """What is drawn from, opened when it is needed first."""
        if self._frames is None:
            self._frames = training_frames(self._config)
        return self._frames

    def __call__(self, step: int, index: int) -> tuple[Array, Array]:
        """A sample, a pure function of seed, step and index.

        Returns:
            Image float32 [channels, height, width] in 0 to 1, heat first, and label int64 [height,
            width], 255 where it is not known.
        """
        config, modality = self._config, self._config.drawn_modality
        rng = np.random.default_rng([config.seed, step, index])
        frame = self.frames[int(rng.integers(len(self.frames)))]
        if config.random_cameras:
            image, label = training_sample(frame, modality, rng, config.augmentation)
        else:
            image, label = plain_sample(
                frame, config.drawn_modality, rng, config.augmentation.view
            )
        return image.astype(np.float32), label.astype(np.int64)
