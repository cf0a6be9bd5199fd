# SPDX-License-Identifier: Apache-2.0
"""What mutual distillation learns from: one geometry for all, an image of its own per branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.augmentation import (
    JointConfig,
    Sample,
    View,
    augment_rgb,
    draw_view,
    view_sample,
)
from training.data.depth_bag import load_depth_bag
from training.data.miscalibration import miscalibrated_lidar, perturbed_pose
from training.data.world import load_world
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_frames import (
    DepthFrame,
    ScoredFrame,
    WorldDepthFrames,
    WorldScoredFrames,
)
from training.recipes.mutual_distillation_sets import (
    BagDepthFrames,
    CityscapesDepthFrames,
    CityscapesScoredFrames,
    KittiDepthFrames,
    KittiScoredFrames,
    bag_scored_frames,
)
from training.recipes.mutual_distillation_terms import CorruptionConfig, NoiseConfig

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32


class DepthBatch(NamedTuple):
    """A batch, or without the first axis a sample; float32.

    Attributes:
        image: clean, 0 to 1, [batch, 3, height, width].
        seen: what each branch sees of it, [batch, branches, 3, height, width].
        sources: other views, clean, in the order of `MutualConfig.sources`, [batch, views, 3,
            height, width].
        poses: source_from_target of each view, [batch, views, 4, 4]; the identity where it is to
            be learnt.
        camera_matrix: of all images, [batch, 3, 3]; the first focal length is negative where they
            are mirrored.
        lidar_m: 0 where nothing is measured or known, [batch, 1, height, width].
    """

    image: Tensor
    seen: Tensor
    sources: Tensor
    poses: Tensor
    camera_matrix: Tensor
    lidar_m: Tensor


def training_frames(config: MutualConfig) -> Sequence[DepthFrame]:
    """The frames that a run learns from, rendered if they are not there yet."""
    if config.kitti.root:
        return KittiDepthFrames(config.kitti, 'train', config.sources, config.noise.instances)
    if config.cityscapes.root:
        return CityscapesDepthFrames(config.cityscapes, config.sources)
    if config.bag.bag:
        measured = any(branch.measured for branch in config.branches)
        data = load_depth_bag(config.bag, config.cache, sources=config.sources, measured=measured)
        return BagDepthFrames(data, config.noise.instances)
    return WorldDepthFrames(load_world(config.train, config.cache))


def scored_frames(config: MutualConfig) -> dict[str, Sequence[ScoredFrame]]:
    """The frames that a run is scored on, by name; none on a recording without a lidar."""
    if config.kitti.root:
        return {name: KittiScoredFrames(config.kitti, name) for name in ('validation', 'test')}
    if config.cityscapes.root:
        return {'test': CityscapesScoredFrames(config.cityscapes)}
    if config.bag.bag:
        return bag_scored_frames(config.bag, config.cache)
    return {
        name: WorldScoredFrames(load_world(split, config.cache))
        for name, split in config.splits().items()
        if name != 'train'
    }


class Drawing:
    """The samples of a run, by step and index; to another process go its settings alone.

    Args:
        config: of the run.
    """

    def __init__(self, config: MutualConfig) -> None:
        self._config = config
        self._frames: Sequence[DepthFrame] | None = None

    def __getstate__(self) -> MutualConfig:
        return self._config

    def __setstate__(self, state: MutualConfig) -> None:
        self._config, self._frames = state, None

    def __call__(self, step: int, index: int) -> DepthBatch:
        """A sample: a pure function of seed, step and index."""
        if self._frames is None:
            self._frames = training_frames(self._config)
        rng = np.random.default_rng([self._config.seed, step, index])
        return draw(self._frames, rng, self._config)


def draw(frames: Sequence[DepthFrame], rng: Rng, config: MutualConfig) -> DepthBatch:
    """One augmented sample of a random frame."""
    index = int(rng.integers(len(frames)))
    frame = corrupted(frames[index], index, config.corruption)
    sample = random_view(frame.sample, rng, config.view)
    assert sample.rgb is not None and sample.camera_matrix is not None
    image = _unit(sample.rgb)
    sources = [_channels_first(_unit(sample.images()[name])) for name in config.sources]
    poses = [frame.poses.get(name, np.eye(4)) for name in config.sources]
    parts = (
        _channels_first(image),
        seen_by_branches(image, sample.instance, rng, config.noise, len(config.branches)),
        _stacked(sources, (3, *config.image_size)),
        _stacked(poses, (4, 4)),
        sample.camera_matrix.astype(F32),
        _measured(sample, known=index < round(config.measured_share * len(frames))),
    )
    return DepthBatch(*map(torch.from_numpy, parts))


def corrupted(frame: DepthFrame, index: int, config: CorruptionConfig) -> DepthFrame:
    """A frame with the faults of a set; those of its motions follow from its index.

    The motions back and forth get faults of their own.
    """
    sample, poses = frame.sample, dict(frame.poses)
    if config.moves_lidar and sample.lidar_m is not None:
        assert sample.camera_matrix is not None
        lidar_m = miscalibrated_lidar(
            sample.lidar_m,
            sample.camera_matrix,
            rotation_deg=config.lidar_rotation_deg,
            shift_m=config.lidar_shift_m,
        )
        sample = replace(sample, lidar_m=lidar_m)
    if config.moves_cameras:
        rng = np.random.default_rng([index])
        for name in ('previous', 'next'):
            if name in poses:
                poses[name] = perturbed_pose(
                    poses[name],
                    rng,
                    rotation_deg=config.pose_rotation_deg,
                    shift_share=config.pose_shift_share,
                )
    return DepthFrame(sample, poses)


def random_view(sample: Sample, rng: Rng, config: JointConfig) -> Sample:
    """The whole frame brought to the size of a view, and a random view of that, in one step."""
    size = (config.height, config.width)
    view = draw_view(rng, config, size)
    fit = np.array(size[::-1]) / np.array(sample.image_size[::-1])
    center = [float(value) for value in np.array(view.center) / fit]
    whole = View(view.linear * fit, center, view.scale * float(fit.min()))
    return view_sample(sample, whole, size)


def seen_by_branches(
    image: Array, instance: Array | None, rng: Rng, config: NoiseConfig, branches: int
) -> Array:
    """What each branch sees of a clean image.

    Args:
        image: float32 [height, width, 3], 0 to 1.
        instance: object ids [height, width], 0 for the background; None where not known.
        rng: consumed alike whatever the branches share.
        config: of the changes.
        branches: how many.

    Returns:
        float32 [branches, 3, height, width], 0 to 1.
    """
    seeds = rng.integers(2**32, size=2)
    streams = [np.random.default_rng(seeds[k if config.own else 0]) for k in range(branches)]
    views = []
    for stream in streams:
        seen = augment_rgb(image, stream, config.colors)
        views.append(_channels_first(_noisy(seen, instance, stream, config)))
    return np.stack(views)


def _noisy(image: Array, instance: Array | None, rng: Rng, config: NoiseConfig) -> Array:
    known = config.region == 'everywhere' or instance is not None
    if config.region == 'none' or not config.deviation or not known:
        return image
    noise = F32(config.deviation) * rng.standard_normal(image.shape, dtype=F32)
    if config.region == 'background':
        assert instance is not None
        noise *= (instance == 0)[..., None]
    noisy: Array = np.clip(image + noise, F32(0.0), F32(1.0))
    return noisy


def _measured(sample: Sample, *, known: bool) -> Array:
    """Lidar [1, height, width]; nothing where it is not there or must not be seen."""
    if sample.lidar_m is None or not known:
        return np.zeros((1, *sample.image_size), F32)
    lidar_m: Array = sample.lidar_m[None].astype(F32)
    return lidar_m


def _unit(image: Array) -> Array:
    unit: Array = image.astype(F32) / F32(255.0)
    return unit


def _channels_first(image: Array) -> Array:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _stacked(parts: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Parts of a shape as float32, also if there is none."""
    return np.stack(parts).astype(F32) if parts else np.zeros((0, *shape), F32)
