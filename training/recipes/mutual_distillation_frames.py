# SPDX-License-Identifier: Apache-2.0
"""Frames for mutual distillation, whichever data set they come from, and those of the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.augmentation import Sample
from training.data.lidar_footprint import lidar_footprint
from training.data.world import WorldData

Array = npt.NDArray[Any]

VIEW_NAMES = ('right', 'previous', 'next')
"""Other views that a frame may have, in one order."""


class DepthFrame(NamedTuple):
    """A frame to learn from.

    Attributes:
        sample: `rgb`, `camera_matrix`, `lidar_m` where there is any, `instance` where objects are
            known, and the other views that were asked for.
        poses: points of this camera's frame to that of another view, float64 [4, 4], by name of
            the view; of those that are known.
    """

    sample: Sample
    poses: dict[str, Array]


class ScoredFrame(NamedTuple):
    """A frame to be scored on.

    Attributes:
        rgb: uint8 [height, width, 3].
        target_m: float32 [height, width], 0 where depth is not known.
        regions: bool [height, width] by name; none but in the world.
        camera_matrix: of the image, float64 [3, 3], where it is known.
    """

    rgb: Array
    target_m: Array
    regions: dict[str, Array]
    camera_matrix: Array | None = None


class WorldDepthFrames(Sequence[DepthFrame]):
    """Rendered frames to learn from, with the fields that their split asks for."""

    def __init__(self, data: WorldData) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> DepthFrame:  # type: ignore[override]
        frame = self._data[index]
        views = {name: getattr(frame, name) for name in VIEW_NAMES}
        sample = Sample(
            rgb=frame.rgb,
            lidar_m=frame.lidar_m,
            instance=frame.instance,
            camera_matrix=frame.camera_matrix,
            **views,
        )
        poses = {'previous': frame.previous_from_camera, 'next': frame.next_from_camera}
        if frame.baseline_m is not None:
            poses['right'] = shift_along_x(-float(frame.baseline_m))
        return DepthFrame(sample, {k: v for k, v in poses.items() if v is not None})


class WorldScoredFrames(Sequence[ScoredFrame]):
    """Rendered frames to be scored on.

    Their regions: `inside` is where beams of the lidar point and are not swallowed by glass,
    `outside` everything else, `glass`, `objects` (all that has an id) and `sky`, which has no
    depth. What beams lose at random does not count: that is no place that lidar never sees.
    """

    def __init__(self, data: WorldData) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> ScoredFrame:  # type: ignore[override]
        frame = self._data[index]
        assert frame.rgb is not None and frame.depth_m is not None and frame.instance is not None
        assert frame.camera_matrix is not None and frame.camera_pose is not None
        glass = np.asarray(frame.glass)
        beams = lidar_footprint(frame.camera_matrix, frame.camera_pose, glass.shape)
        inside = beams & ~glass
        regions = {'inside': inside, 'outside': ~inside, 'glass': glass}
        regions |= {'objects': frame.instance > 0, 'sky': np.asarray(frame.sky)}
        return ScoredFrame(frame.rgb, frame.depth_m, regions, frame.camera_matrix)


def shift_along_x(shift_m: float) -> Array:
    """A pose that moves points along the camera's x axis, float64 [4, 4]."""
    pose = np.eye(4)
    pose[0, 3] = shift_m
    return pose
