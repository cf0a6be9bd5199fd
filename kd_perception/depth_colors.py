# SPDX-License-Identifier: Apache-2.0
"""Depth for the eyes: the ``~/depth/colored`` topic and the report."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.frames import ByteImage

FAR_COLOR, NEAR_COLOR, UNKNOWN_COLOR = (25, 25, 35), (255, 255, 255), (120, 120, 120)
_FAR, _NEAR, _UNKNOWN = 253, 254, 255
_LEVELS = 253


def colored_depth(depth_m: npt.NDArray[Any], low_m: float, high_m: float) -> ByteImage:
    """Color depth by its logarithm over a fixed range: near is yellow, far is violet.

    Args:
        depth_m: HxW; infinity is dark, minus infinity white, NaN gray.
        low_m: Depth of the first color, above 0.
        high_m: Depth of the last one, above `low_m`.

    Returns:
        HxWx3 uint8 RGB.
    """
    return np.asarray(_palette()[_indices(depth_m, low_m, high_m)])


def _indices(depth_m: npt.NDArray[Any], low_m: float, high_m: float) -> ByteImage:
    finite = np.isfinite(depth_m) & (depth_m > 0)
    place = np.log(np.where(finite, depth_m, low_m) / low_m) / np.log(high_m / low_m)
    indices = (np.clip(place, 0.0, 1.0) * (_LEVELS - 1) + 0.5).astype(np.uint8)
    indices[np.isnan(depth_m)] = _UNKNOWN
    indices[np.isposinf(depth_m)] = _FAR
    indices[~finite & ~np.isnan(depth_m) & ~np.isposinf(depth_m)] = _NEAR
    return np.asarray(indices, np.uint8)


@lru_cache(maxsize=1)
def _palette() -> ByteImage:
    ramp = np.linspace(255, 0, _LEVELS).round().astype(np.uint8)[:, None]
    colors = cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    special = np.array([FAR_COLOR, NEAR_COLOR, UNKNOWN_COLOR], np.uint8)
    return np.concatenate([colors, special])
