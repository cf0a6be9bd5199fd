# SPDX-License-Identifier: Apache-2.0
"""A robot's own recording as training data for depth: video, a second camera, lidar points.

    left_topic      Image or CompressedImage in color, camera_info beside it
    right_topic     of the other camera of a rectified pair; its camera_info tells the baseline
    lidar_topic     PointCloud2; tf tells where the lidar stands, or `camera_from_lidar`
    pose_frame      a frame of tf in which the camera moves, as odom or map: known motions

Only the left images must be there: with a second camera they are stereo, by themselves they are
video, with points they are measured. Messages belong together by their header stamps. Images are
rectified by their camera_info, points are projected into the left camera as it was at the stamp of
the image: what the robot moved between the two is not undone. Both cameras of a pair must have the
same P but for P[3]. The frame of the left camera in tf is that of its rectified images, as in ROS;
`camera_frame` says otherwise (`training.data.bag_rectification`).

What is stored lies in a folder of the cache that is named by a hash of the bag's content, of these
settings and of the code that stores it. An extraction that was interrupted starts again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from training.data.depth_bag_config import DepthBagConfig
from training.data.depth_bag_extraction import ARRAYS, extract
from training.data.folders import Frames
from training.data.locks import locked

Array = npt.NDArray[Any]

SPLIT_NAMES = ('train', 'validation', 'test')

_VIDEO = ('previous', 'next')

_INDEX, _LOCK = 'frames.json', 'lock'


class DepthBagSample(NamedTuple):
    """A frame; images uint8 [height, width, 3], None where not asked for or not there.

    Attributes:
        stamp_ns: of the left image.
        rgb: left image.
        camera_matrix: of all images, float64 [3, 3].
        right: image of the right camera.
        previous: left image an interval earlier.
        next: left image an interval later.
        lidar_m: depth of points [height, width], 0 where there is none; None without a lidar.
        poses: points of this camera's frame to that of another view, float64 [4, 4], by its name,
            where known.
    """

    stamp_ns: int
    rgb: Array
    camera_matrix: Array
    right: Array | None
    previous: Array | None
    next: Array | None
    lidar_m: Array | None
    poses: dict[str, Array]


class DepthBag(Frames[DepthBagSample]):
    """Frames of a split that have all that is asked for, by stamp, memory-mapped.

    Args:
        folder: of the cache, whole.
        config: of the recording.
        split: `train`, the beginning of the recording, `validation` or `test`; splits are at
            least two intervals apart.
        sources: other views that a frame must have: `right`, `previous`, `next`.
        measured: whether it must have lidar points.

    Raises:
        ConfigError: no frame has all of that.
    """

    def __init__(
        self,
        folder: Path,
        config: DepthBagConfig,
        split: str,
        *,
        sources: Sequence[str] = (),
        measured: bool = False,
    ) -> None:
        index = json.loads((folder / _INDEX).read_text())
        self.folder, self.report = folder, index['report']
        self._matrix = np.array(index['camera_matrix'])
        self._baseline_m: float = index['baseline_m']
        self._stamps_ns = np.array(index['stamps_ns'], np.int64)
        self._has = {name: np.array(index[name], bool) for name in ARRAYS}
        self._poses = [None if p is None else np.array(p) for p in index['poses']]
        self._arrays = {
            name: np.load(folder / f'{name}.npy', mmap_mode='r')
            for name in ARRAYS
            if self._has[name].any()
        }
        interval_ns = round(config.interval_s * 1e9)
        self._near = {
            name: nearest_rows(self._stamps_ns, self._has['rgb'], sign * interval_ns)
            for name, sign in (('previous', -1), ('next', 1))
        }
        self._sources, self._config = tuple(sources), config
        self._rows = self._kept(split, measured)
        if not self._rows:
            raise ConfigError(
                f'the {split} split of {config.bag} must have frames with '
                f'{", ".join((*sources, *["lidar"] * measured)) or "an image"}; it has none. '
                f'{self.report}'
            )

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the left images, in order."""
        return [int(self._stamps_ns[row]) for row in self._rows]

    @property
    def has_lidar(self) -> bool:
        """Whether there is a point anywhere in the recording."""
        return 'lidar_m' in self._arrays

    def _read(self, index: int) -> DepthBagSample:
        row = self._rows[index]
        views = {n: self._arrays['rgb'][self._near[n][row]] for n in _VIDEO if n in self._sources}
        if 'right' in self._sources:
            views['right'] = self._arrays['right'][row]
        lidar = self._arrays.get('lidar_m')
        return DepthBagSample(
            stamp_ns=int(self._stamps_ns[row]),
            rgb=self._arrays['rgb'][row],
            camera_matrix=self._matrix,
            right=views.get('right'),
            previous=views.get('previous'),
            next=views.get('next'),
            lidar_m=None if lidar is None else lidar[row],
            poses=self._poses_of(row),
        )

    def _poses_of(self, row: int) -> dict[str, Array]:
        poses, here = {}, self._poses[row]
        if 'right' in self._sources:
            poses['right'] = np.eye(4)
            poses['right'][0, 3] = -self._baseline_m
        for name in _VIDEO:
            there = self._poses[self._near[name][row]]
            if name in self._sources and here is not None and there is not None:
                poses[name] = np.linalg.inv(there) @ here
        return poses

    def count(self, split: str, *, measured: bool) -> int:
        """How many frames of a split have the views of this one, and lidar if `measured`."""
        return len(self._kept(split, measured))

    def _kept(self, split: str, measured: bool) -> list[int]:
        config = self._config
        has = self._has['rgb'] & _inside(self._stamps_ns, config, split)
        has[np.arange(len(has)) % config.stride != 0] = False
        posed = np.array([pose is not None for pose in self._poses])
        for name in self._sources:
            if name == 'right':
                has &= self._has['right']
            else:
                has &= self._near[name] >= 0
                has &= (posed & posed[self._near[name]]) | (not config.pose_frame)
        if measured:
            has &= self._has['lidar_m']
        return [int(row) for row in np.flatnonzero(has)]


def nearest_rows(stamps_ns: Array, there: Array, shift_ns: int) -> Array:
    """The row nearest to a time away from each row.

    Args:
        stamps_ns: ascending, [rows].
        there: which rows may be chosen, bool [rows].
        shift_ns: what is added to the stamps.

    Returns:
        int64 [rows]; -1 where none is within half of the shift.
    """
    wanted, rows = stamps_ns + shift_ns, np.flatnonzero(there)
    if not len(rows):
        return np.full(len(wanted), -1)
    known = stamps_ns[rows]
    after = np.minimum(np.searchsorted(known, wanted), len(rows) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(known[before] - wanted) <= np.abs(known[after] - wanted)
    found = rows[np.where(nearer, before, after)]
    far = np.abs(stamps_ns[found] - wanted) > abs(shift_ns) // 2
    return np.asarray(np.where(far, -1, found))


def _inside(stamps_ns: Array, config: DepthBagConfig, split: str) -> Array:
    """Which stamps are those of a split; the held-out ones begin two intervals late."""
    first, last = int(stamps_ns[0]), int(stamps_ns[-1])
    shares = (0.0, 1.0 - config.held_out_share, 1.0 - config.held_out_share / 2.0, 1.0)
    bounds = [first + round(share * (last - first)) for share in shares]
    place = SPLIT_NAMES.index(split)
    start = bounds[place] + (round(2e9 * config.interval_s) if place else 0)
    end = bounds[place + 1] + (split == 'test' or config.held_out_share == 0.0)
    return np.asarray((stamps_ns >= start) & (stamps_ns < end))


def load_depth_bag(
    config: DepthBagConfig,
    cache: Path,
    split: str = 'train',
    *,
    sources: Sequence[str] = (),
    measured: bool = False,
) -> DepthBag:
    """Store what the cache lacks, with progress bars, then map it; arguments as `DepthBag`.

    Raises:
        BagError: there is no such bag, it is damaged, or a named topic is not in it.
        ConfigError: the topics, calibrations or transforms are not clear, too much is to be
            stored, or no frame is left.
    """
    folder = cache / config.key(cache)
    if not (folder / _INDEX).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / _LOCK, 0, wait=True):
            if not (folder / _INDEX).is_file():
                extract(folder, config, _INDEX)
    return DepthBag(folder, config, split, sources=sources, measured=measured)
