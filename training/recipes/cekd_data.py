# SPDX-License-Identifier: Apache-2.0
"""What CEKD learns from: frames with labels for the teacher, pairs of images for the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kd_perception.uncertainty import IGNORE_INDEX
from training.data.bag import load_bag
from training.data.labeled_sets import labeled_set
from training.data.modality import LabeledFrame, plain_sample, training_sample
from training.data.world import load_world
from training.losses import class_weights, edge_labels, image_edges, shrink_edges
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_networks import TeacherConfig

Array = npt.NDArray[Any]

_SHARE_STRIDE = 7


@dataclass(frozen=True)
class Pair:
    """Both images of a frame; the label says 255 where it is hidden."""

    thermal: Array | None
    rgb: Array | None
    label: Array


def hidden(frame: LabeledFrame) -> Pair:
    """A frame whose label says 255 everywhere; what a data set has no image of is None."""
    thermal = getattr(frame, 'thermal', None)
    shape = (thermal if thermal is not None else np.asarray(frame.rgb)).shape[:2]
    return Pair(thermal, frame.rgb, np.full(shape, IGNORE_INDEX, np.uint8))


class Frames(NamedTuple):
    """Frames to learn from.

    Attributes:
        frames: with both images, and labels where they have any.
        labeled: how many of them may be seen with their labels, the first ones.
    """

    frames: Sequence[LabeledFrame]
    labeled: int

    def draw(
        self, rng: np.random.Generator, config: CekdConfig, *, labeled_only: bool
    ) -> tuple[Array, Array]:
        """One augmented sample.

        Args:
            rng: consumed.
            config: of the augmentation.
            labeled_only: draw a frame whose label may be seen.

        Returns:
            Image float32 [4, height, width] (thermal, red, green, blue) in 0 to 1, and label int64
            [height, width], 255 where it is not known or must not be seen.
        """
        index = int(rng.integers(self.labeled if labeled_only else len(self.frames)))
        frame = self.frames[index]
        if index >= self.labeled:
            frame = hidden(frame)
        if config.random_cameras:
            image, label = training_sample(frame, 'rgbt', rng, config.augmentation)
        else:
            image, label = plain_sample(frame, 'rgbt', rng, config.augmentation.view)
        return image.astype(np.float32), label.astype(np.int64)

    def class_shares(self, num_classes: int) -> list[float]:
        """Share of pixels per class in the labels that may be seen."""
        counts = np.zeros(num_classes)
        for index in range(self.labeled):
            label = np.asarray(self.frames[index].label)[::_SHARE_STRIDE, ::_SHARE_STRIDE]
            known = label[label != IGNORE_INDEX].ravel()
            counts += np.bincount(known, minlength=num_classes)
        shares: list[float] = (counts / counts.sum()).tolist()
        return shares


def split_frames(config: CekdConfig, name: str) -> Sequence[LabeledFrame]:
    """All frames of a split, rendered if they are not there yet.

    Args:
        config: of the run.
        name: one of `config.split_names`.
    """
    if config.mfnet:
        return labeled_set('mfnet', config.mfnet, name)
    if config.pst900:
        return labeled_set('pst900', config.pst900, name)
    return load_world(config.splits()[name], config.cache)


def teacher_frames(config: CekdConfig) -> Frames:
    """What the teacher learns from, and the student where it has no recording of its own."""
    frames = split_frames(config, 'train')
    return Frames(frames, min(config.labeled, len(frames)))


def class_weight(config: CekdConfig) -> Tensor | None:
    """Weights of the classes [classes] in frames with labels; None where all weigh the same."""
    if not config.class_weighted:
        return None
    shares = teacher_frames(config).class_shares(config.label_set.num_classes)
    return class_weights(np.array(shares))


def student_frames(config: CekdConfig) -> Frames:
    """What the student learns from: a recording has no label at all.

    Its images are brought to the size of the rendered frames, so that things are as large there as
    the teacher has learnt them.
    """
    if config.bag:
        return Frames(load_bag(config.recorded_pairs, config.cache), 0)
    return teacher_frames(config)


class Drawing:
    """The samples of a stage, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
        stage: `teacher`, `student` or `joint`; all but the student see labeled frames alone.
    """

    def __init__(self, config: CekdConfig, stage: str) -> None:
        self._config, self._stage = config, stage
        self._frames: Frames | None = None

    def __getstate__(self) -> tuple[CekdConfig, str]:
        return self._config, self._stage

    def __setstate__(self, state: tuple[CekdConfig, str]) -> None:
        self._config, self._stage = state
        self._frames = None

    @property
    def frames(self) -> Frames:
        """What is drawn from, opened when it is needed first."""
        if self._frames is None:
            source = student_frames if self._stage == 'student' else teacher_frames
            found = source(self._config)
            if self._stage == 'student' and self._config.student.target in ('teacher', 'none'):
                found = found._replace(labeled=0)  # nor may labels say where a view is laid
            self._frames = found
        return self._frames

    def __call__(self, step: int, index: int) -> tuple[Array, Array]:
        """A sample, see `Frames.draw`: a pure function of seed, stage, step and index."""
        config, own = self._config, int(self._stage == 'teacher')
        rng = np.random.default_rng([config.seed, own, step, index])
        labeled_only = self._stage != 'student' or config.student.target == 'label'
        return self.frames.draw(rng, config, labeled_only=labeled_only)


def edge_target(images: Tensor, labels: Tensor, config: TeacherConfig) -> Tensor:
    """What the edge module shall give for a batch.

    Args:
        images: float [batch, 4, height, width].
        labels: int64 [batch, height, width].
        config: where edges come from and where the module sits.

    Returns:
        uint8 [batch, height / 2^(edge_stage - 1), width / 2^(edge_stage - 1)]: 1 on edges, 255
        beyond the frame.
    """
    if config.edges == 'image':
        edges = image_edges(images[:, 1:])
    else:
        edges = edge_labels(labels, radius=config.edge_radius_px)
    edges = torch.where(labels == IGNORE_INDEX, torch.full_like(edges, IGNORE_INDEX), edges)
    return shrink_edges(edges, factor=2 ** (config.edge_stage - 1), pooling=config.edge_pooling)
