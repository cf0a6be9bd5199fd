# SPDX-License-Identifier: Apache-2.0
"""What the cache can hold of a rendered frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.world.frame import VIEWS

Array = npt.NDArray[Any]

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

    Arrays but depths are read-only views of the files. `augmentation.Sample` is another thing on
    purpose: it holds only what a new view can be made of, while tags, poses and the stereo
    baseline are of the frame as it was rendered: a crop or a mirrored view would make them wrong.
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
