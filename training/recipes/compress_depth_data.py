# SPDX-License-Identifier: Apache-2.0
"""What a fast depth student learns from: rendered frames, or a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.augmentation import Sample, augment_rgb, draw_view, view_sample
from training.data.depth_bag import load_depth_bag
from training.data.world import load_world
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.mutual_distillation_frames import ScoredFrame, WorldScoredFrames
from training.recipes.mutual_distillation_sets import bag_scored_frames

Array = npt.NDArray[Any]
F32 = np.float32


class DepthLabels(NamedTuple):
    """A batch, or without the first axis a sample; float32 but for the sky.

    Attributes:
        seen: what the student sees, 0 to 1, [batch, 3, height, width].
        image: the same view, clean, for the teacher.
        target_m: depth as a camera of `focal_px` would have it to see this image, up to
            `max_depth_m`, or `sky_depth_m`; 0 where it is not known, [batch, 1, height, width].
        sky: bool, the true sky of the world, whatever the labels are; nowhere on a recording,
            which does not tell it; of the same shape.
    """

    seen: Tensor
    image: Tensor
    target_m: Tensor
    sky: Tensor


class LabeledDepthFrames(Sequence[Sample]):
    """Frames with `rgb`, `camera_matrix`, `depth_m` or `lidar_m`, and the sky where it is known.

    Args:
        data: of the world or of a recording.
        labels: which field is the label.
    """

    def __init__(self, data: Sequence[Any], labels: str) -> None:
        self._data, self._name = data, f'{labels}_m'

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        frame = self._data[index]
        fields = {self._name: getattr(frame, self._name), 'sky': getattr(frame, 'sky', None)}
        return Sample(rgb=frame.rgb, camera_matrix=frame.camera_matrix, **fields)


def training_frames(config: CompressDepthConfig) -> Sequence[Sample]:
    """What is drawn from: the frames of `bag` if there is one, else those of `train`."""
    if config.rendered:
        return LabeledDepthFrames(load_world(config.train, config.cache), config.labels)
    measured = bool(config.label_weight)
    data = load_depth_bag(config.bag, config.cache, measured=measured)
    return LabeledDepthFrames(data, config.labels)


def scored_frames(config: CompressDepthConfig) -> dict[str, Sequence[ScoredFrame]]:
    """The frames that a run is scored on, by name; none on a recording without a lidar."""
    if config.rendered:
        return {
            name: WorldScoredFrames(load_world(split, config.cache))
            for name, split in config.splits().items()
            if name != 'train'
        }
    return bag_scored_frames(config.bag, config.cache)


class Drawing:
    """The samples of a run, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
    """

    def __init__(self, config: CompressDepthConfig) -> None:
        self._config = config
        self._frames: Sequence[Sample] | None = None

    def __getstate__(self) -> CompressDepthConfig:
        return self._config

    def __setstate__(self, state: CompressDepthConfig) -> None:
        self._config, self._frames = state, None

    def __call__(self, step: int, index: int) -> DepthLabels:
        """A sample: a pure function of seed, step and index."""
        if self._frames is None:
            self._frames = training_frames(self._config)
        rng = np.random.default_rng([self._config.seed, step, index])
        frame = self._frames[int(rng.integers(len(self._frames)))]
        return draw(frame, rng, self._config)


def draw(frame: Sample, rng: np.random.Generator, config: CompressDepthConfig) -> DepthLabels:
    """A random view of a frame, as the student and as the teacher see it, with its depth."""
    height, width = config.image_size
    view = draw_view(rng, config.view, frame.image_size)
    sample = view_sample(frame, view, (height, width))
    assert sample.rgb is not None and sample.camera_matrix is not None
    image = sample.rgb.astype(F32) / F32(255.0)
    seen = augment_rgb(image, rng, config.colors)
    target_m = _target_m(sample, config)
    parts = (_channels_first(seen), _channels_first(image), target_m[None])
    sky = np.zeros((height, width), bool) if sample.sky is None else np.asarray(sample.sky, bool)
    return DepthLabels(
        *(torch.from_numpy(np.ascontiguousarray(part, F32)) for part in parts),
        torch.from_numpy(np.ascontiguousarray(sky[None])),
    )


def focal_length_px(camera_matrix: Array) -> float:
    """Focal length along the rows of the frame, of a matrix that may be mirrored and turned."""
    return float(np.linalg.norm(camera_matrix[:2, 0]))


def _target_m(sample: Sample, config: CompressDepthConfig) -> Array:
    """Depth of the camera of `focal_px`; 0 where it is not known, too far, or not looked at."""
    depth_m = sample.depth_m if config.labels == 'depth' else sample.lidar_m
    if depth_m is None or not config.label_weight:
        return np.zeros(sample.image_size, F32)
    assert sample.camera_matrix is not None
    # The world cuts its depth: what lies there is somewhere beyond.
    cut_m = config.train.config().max_depth_m if config.rendered else np.inf
    told_m = depth_m * F32(config.focal_px / focal_length_px(sample.camera_matrix))
    known = (depth_m < cut_m) & (told_m <= config.max_depth_m)
    target_m = np.where(known, told_m, F32(0.0))
    if config.sky_depth_m and sample.sky is not None:
        target_m = np.where(sample.sky, F32(config.sky_depth_m), target_m)
    return target_m


def _channels_first(image: Array) -> Array:
    return image.transpose(2, 0, 1)
