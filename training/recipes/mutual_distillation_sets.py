# SPDX-License-Identifier: Apache-2.0
"""KITTI, Cityscapes and recordings for mutual distillation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from kd_perception.errors import ConfigError
from training.data.augmentation import Sample
from training.data.cityscapes import Cityscapes
from training.data.depth_bag import SPLIT_NAMES, DepthBag, load_depth_bag
from training.data.depth_bag_config import DepthBagConfig
from training.data.instance_masks import InstanceMasks
from training.data.kitti import KittiRaw
from training.data.kitti_splits import read_split
from training.recipes.mutual_distillation_frames import (
    VIEW_NAMES,
    DepthFrame,
    ScoredFrame,
    shift_along_x,
)
from training.tensor_checks import check_option

Array = npt.NDArray[Any]

MEASUREMENTS = ('lidar', 'sparse', 'target')
TRUTHS = {'eigen': 'eigen_target', 'benchmark': 'target'}
_KITTI_LISTS = {'train': 'eigen_zhou/train_files.txt', 'validation': 'eigen_zhou/val_files.txt'}
_KITTI_TESTS = {'eigen': 'eigen/test_files.txt', 'benchmark': 'eigen_benchmark/test_files.txt'}


@dataclass(frozen=True)
class KittiConfig:
    """KITTI raw in the place of the world.

    Args:
        root: folder of the raw drives; empty: not KITTI.
        lists: folder of Monodepth2's splits: eigen_zhou/{train,val}_files.txt, and
            eigen/test_files.txt or eigen_benchmark/test_files.txt.
        depth_root: of the depth benchmark, where it is apart; else empty.
        measurement: what supervises: `lidar` of one scan, or `sparse` or `target` of the depth
            benchmark.
        truth: of the test split: `eigen`, the single scans of its 697 frames, or `benchmark`, the
            improved ground truth that the depth benchmark has for 652 of them. Validation is
            against single scans either way.
    """

    root: str = ''
    lists: str = ''
    depth_root: str = ''
    measurement: str = 'lidar'
    truth: str = 'eigen'

    def __post_init__(self) -> None:
        """Check names."""
        check_option('truth', self.truth, tuple(TRUTHS))
        if self.measurement not in MEASUREMENTS:
            raise ConfigError(
                f'measurement must be one of {list(MEASUREMENTS)}, got {self.measurement!r}'
            )


@dataclass(frozen=True)
class CityscapesConfig:
    """Cityscapes in the place of the world; depth of its disparities supervises.

    Args:
        root: folder of the set; empty: not Cityscapes.
        step: between frames of the video, >= 1.
        kept_share: of the rows from the top, above 0 to 1: the rest shows the car's hood.
    """

    root: str = ''
    step: int = 2
    kept_share: float = 0.75

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0.0 < self.kept_share <= 1.0:
            raise ConfigError(f'kept_share must be above 0 to 1, got {self.kept_share}')


class KittiDepthFrames(Sequence[DepthFrame]):
    """Frames of the Eigen-Zhou split to learn from.

    Args:
        config: where the set is.
        name: `train` or `validation`.
        sources: other views that are needed.
        instances: folder of `InstanceMasks`; empty: objects are not known.
    """

    def __init__(
        self, config: KittiConfig, name: str, sources: Sequence[str], instances: str = ''
    ) -> None:
        self._measurement = f'{config.measurement}_m'
        self._data = _kitti(config, name, (*sources, config.measurement))
        names = (self._data.name_of(index) for index in range(len(self._data)))
        self._masks = InstanceMasks(instances, names) if instances else None

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> DepthFrame:  # type: ignore[override]
        frame = self._data[index]
        sample = Sample(
            rgb=frame.rgb,
            lidar_m=getattr(frame, self._measurement),
            instance=_instance(self._masks, self._data.name_of(index), frame.rgb),
            camera_matrix=frame.camera_matrix,
            **{name: getattr(frame, name) for name in VIEW_NAMES},
        )
        return DepthFrame(sample, {'right': frame.right_from_camera})


class KittiScoredFrames(Sequence[ScoredFrame]):
    """Frames with the ground truth of the Eigen protocol, or the improved one.

    Args:
        config: where the set is.
        name: `validation` or `test`.
    """

    def __init__(self, config: KittiConfig, name: str) -> None:
        self._view = TRUTHS[config.truth if name == 'test' else 'eigen']
        self._data = _kitti(config, name, (self._view,))

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> ScoredFrame:  # type: ignore[override]
        frame = self._data[index]
        return ScoredFrame(frame.rgb, getattr(frame, f'{self._view}_m'), {})


class CityscapesDepthFrames(Sequence[DepthFrame]):
    """Images of the train split to learn from; depth of the disparities stands for lidar.

    Args:
        config: where the set is.
        sources: other views that are needed.
    """

    def __init__(self, config: CityscapesConfig, sources: Sequence[str]) -> None:
        self._kept_share = config.kept_share
        views = ('camera', 'disparity', 'instance', *sources)
        self._data = Cityscapes(config.root, 'train', views=views, step=config.step)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> DepthFrame:  # type: ignore[override]
        frame = self._data[index]
        assert frame.camera is not None
        views = {name: getattr(frame, name) for name in VIEW_NAMES}
        views |= {'rgb': frame.rgb, 'lidar_m': frame.target_m, 'instance': frame.instance}
        rows = round(self._kept_share * len(frame.rgb))
        kept = {name: view[:rows] for name, view in views.items() if view is not None}
        sample = Sample(camera_matrix=frame.camera.matrix, **kept)
        return DepthFrame(sample, {'right': shift_along_x(-frame.camera.baseline_m)})


class CityscapesScoredFrames(Sequence[ScoredFrame]):
    """Images of the val split with the depth of their disparities.

    Args:
        config: where the set is.
    """

    def __init__(self, config: CityscapesConfig) -> None:
        self._kept_share = config.kept_share
        self._data = Cityscapes(config.root, 'val', views=('camera', 'disparity'))

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> ScoredFrame:  # type: ignore[override]
        frame = self._data[index]
        assert frame.target_m is not None
        rows = round(self._kept_share * len(frame.rgb))
        return ScoredFrame(frame.rgb[:rows], frame.target_m[:rows], {})


class BagDepthFrames(Sequence[DepthFrame]):
    """Frames of a recording to learn from.

    Args:
        data: of the recording, with the views that are needed.
        instances: folder of `InstanceMasks`; empty: objects are not known.
    """

    def __init__(self, data: DepthBag, instances: str = '') -> None:
        self._data = data
        names = map(str, data.stamps_ns)
        self._masks = InstanceMasks(instances, names) if instances else None

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> DepthFrame:  # type: ignore[override]
        frame = self._data[index]
        sample = Sample(
            rgb=frame.rgb,
            lidar_m=frame.lidar_m,
            instance=_instance(self._masks, str(frame.stamp_ns), frame.rgb),
            camera_matrix=frame.camera_matrix,
            **{name: getattr(frame, name) for name in VIEW_NAMES},
        )
        return DepthFrame(sample, frame.poses)


class BagScoredFrames(Sequence[ScoredFrame]):
    """Frames of a recording with its lidar, the only truth that there is.

    Args:
        data: of the recording, with lidar.
    """

    def __init__(self, data: DepthBag) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> ScoredFrame:  # type: ignore[override]
        frame = self._data[index]
        assert frame.lidar_m is not None
        return ScoredFrame(frame.rgb, frame.lidar_m, {}, frame.camera_matrix)


def bag_scored_frames(config: DepthBagConfig, cache: Path) -> dict[str, Sequence[ScoredFrame]]:
    """The held-out frames of a recording with lidar, by split; splits without any are left out."""
    data = load_depth_bag(config, cache)
    return {
        name: BagScoredFrames(load_depth_bag(config, cache, name, measured=True))
        for name in SPLIT_NAMES[1:]
        if data.count(name, measured=True)
    }


def what_is_not_scored(config: DepthBagConfig, cache: Path) -> str:
    """Says which splits of a recording have nothing to be scored on; empty if all have."""
    if not config.bag:
        return ''
    found = bag_scored_frames(config, cache)
    missing = [name for name in SPLIT_NAMES[1:] if name not in found]
    if not missing:
        return ''
    return (
        f'No scores of {" and ".join(missing)}: {config.bag} has no image with lidar there '
        f'(held_out_share {config.held_out_share}; each split begins two intervals of '
        f'{config.interval_s} s late).'
    )


def _instance(masks: InstanceMasks | None, name: str, image: Array) -> Array | None:
    return None if masks is None else masks.read(name, image.shape[:2])


def _kitti(config: KittiConfig, name: str, views: Iterable[str]) -> KittiRaw:
    listed = (_KITTI_LISTS | {'test': _KITTI_TESTS[config.truth]})[name]
    frames = read_split(Path(config.lists) / listed)
    return KittiRaw(config.root, frames, views=tuple(views), depth_root=config.depth_root or None)
