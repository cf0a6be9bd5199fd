# SPDX-License-Identifier: Apache-2.0
"""A training sample: what is known of one frame, whichever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What may be known of one frame; arrays [height, width] of one size, all of them optional.

    Args:
        rgb: color image, [height, width, 3].
        thermal: thermal image of any type.
        label: class id, uint8, 255 where not known.
        edge: 1 on class boundaries, 0 elsewhere, 255 where not known, uint8.
        instance: object id, 0 for none.
        depth_m: dense depth, 0 where there is none.
        lidar_m: depth at single pixels, 0 elsewhere.
        saliency: uint8.
        sky: bool.
        glass: bool.
        right: color image of the right camera of a stereo pair.
        previous: color image an interval earlier.
        next: color image an interval later.
        camera_matrix: intrinsic matrix of all these images, float64 [3, 3].

    Raises:
        ShapeError: images of different sizes, or none at all.
    """

    rgb: Array | None = None
    thermal: Array | None = None
    label: Array | None = None
    edge: Array | None = None
    instance: Array | None = None
    depth_m: Array | None = None
    lidar_m: Array | None = None
    saliency: Array | None = None
    sky: Array | None = None
    glass: Array | None = None
    right: Array | None = None
    previous: Array | None = None
    next: Array | None = None
    camera_matrix: Array | None = None

    def __post_init__(self) -> None:
        sizes = {array.shape[:2] for array in self.images().values()}
        if len(sizes) != 1:
            raise ShapeError(f'a sample must hold images of one size, received {sorted(sizes)}')

    def images(self) -> dict[str, Array]:
        """All arrays but the matrix, by name."""
        names = [field.name for field in fields(self) if field.name != 'camera_matrix']
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image."""
        height, width = next(iter(self.images().values())).shape[:2]
        return height, width
