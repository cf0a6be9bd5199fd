# SPDX-License-Identifier: Apache-2.0
"""What the cache can hold of a rendered frame, and how each field is stored.

Depths are stored as the KITTI data set stores them: uint16 of 1/256 m, 0 where there is none. That
halves their size, is within 2 mm everywhere (float16 would be 3 cm off at 60 m) and reaches 255 m.
Everything else is stored as it is rendered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.world.frame import VIEWS

Array = npt.NDArray[Any]

DEPTH_STEPS_PER_M = 256.0

DEPTH_FIELDS = ('depth_m', 'lidar_m')
VIEW_OF_FIELD = {
    'thermal': 'thermal',
    'rgb': 'rgb',
    'right': 'right',
    'previous': 'previous',
    'next': 'next',
    'lidar_m': 'lidar',
}
"""Fields that are rendered only if their view is asked for; the others are always there."""


@dataclass(frozen=True, kw_only=True)
class WorldSample:
    """A cached frame; fields as `WorldFrame` has them, None those that were not asked for.

    Arrays but depths are read-only views of the files.
    """

    thermal: Array | None = None
    label: Array | None = None
    rgb: Array | None = None
    right: Array | None = None
    previous: Array | None = None
    next: Array | None = None
    depth_m: Array | None = None
    lidar_m: Array | None = None
    instance: Array | None = None
    glass: Array | None = None
    sky: Array | None = None
    saliency: Array | None = None
    tags: Array | None = None
    camera_matrix: Array | None = None
    camera_pose: Array | None = None
    previous_from_camera: Array | None = None
    next_from_camera: Array | None = None
    baseline_m: Array | None = None


FIELDS = tuple(WorldSample.__dataclass_fields__)


def check_fields(fields: Iterable[str]) -> None:
    """Refuse names that are no field, names given twice, and no name at all.

    Raises:
        ConfigError: for any of these.
    """
    names = list(fields)
    if not names or len(set(names)) < len(names) or not set(names) <= set(FIELDS):
        raise ConfigError(f'fields must be distinct names of {list(FIELDS)}, got {names}')


def views_of(fields: Iterable[str]) -> tuple[str, ...]:
    """The views that must be rendered for these fields."""
    needed = {VIEW_OF_FIELD[name] for name in fields if name in VIEW_OF_FIELD}
    return tuple(view for view in VIEWS if view in needed)


def encode(name: str, value: Any) -> Array:
    """A field as it is stored.

    Raises:
        ConfigError: a depth that the format cannot hold.
    """
    array = np.asarray(value)
    if name not in DEPTH_FIELDS:
        return array
    steps = np.rint(array * DEPTH_STEPS_PER_M)
    if not (array >= 0.0).all() or steps.max(initial=0.0) > 65535.0:
        raise ConfigError(f'{name} must be 0 to 255 m to be stored; lower max_depth_m')
    return steps.astype(np.uint16)


def decode(name: str, stored: Array) -> Array:
    """A field as it was rendered, from what was stored."""
    if name not in DEPTH_FIELDS:
        return stored
    return stored.astype(np.float32) / np.float32(DEPTH_STEPS_PER_M)
