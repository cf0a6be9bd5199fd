# SPDX-License-Identifier: Apache-2.0
"""Depth, uncertainty and error as colors."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_NEAREST_M, _FARTHEST_M = 2.0, 80.0
_LARGEST_ERROR = 0.5


def depth_picture(depth_m: Array) -> Array:
    """Depth from 2 m (bright) to 80 m (dark) by its logarithm; black where there is none.

    Args:
        depth_m: [height, width]; 0 where not known.

    Returns:
        uint8 [height, width, 3], red, green, blue.
    """
    known = np.isfinite(depth_m) & (depth_m > 0.0)
    clipped = np.clip(np.where(known, depth_m, _FARTHEST_M), _NEAREST_M, _FARTHEST_M)
    level = np.log(_FARTHEST_M / clipped) / np.log(_FARTHEST_M / _NEAREST_M)
    return _colors(level, cv2.COLORMAP_MAGMA) * known[..., None].astype(np.uint8)


def sigma_picture(sigma: Array) -> Array:
    """Uncertainty from the least (dark) to the most (bright) of an image, by its logarithm.

    Args:
        sigma: > 0, of any unit, [height, width].
    """
    level = np.log(np.maximum(sigma, np.finfo(np.float32).tiny))
    low, high = float(level.min()), float(level.max())
    return _colors((level - low) / max(high - low, 1e-6), cv2.COLORMAP_VIRIDIS)


def error_picture(depth_m: Array, target_m: Array) -> Array:
    """Relative error from 0 (dark) to one half and more (bright); black where nothing is known.

    Args:
        depth_m: predicted, [height, width].
        target_m: true, 0 where not known.
    """
    known = target_m > 0.0
    error = np.abs(depth_m - target_m) / np.where(known, target_m, 1.0)
    colors = _colors(np.clip(error / _LARGEST_ERROR, 0.0, 1.0), cv2.COLORMAP_INFERNO)
    return colors * known[..., None].astype(np.uint8)


def _colors(level: Array, color_map: int) -> Array:
    gray = np.round(255.0 * np.clip(level, 0.0, 1.0)).astype(np.uint8)
    colors: Array = cv2.applyColorMap(gray, color_map)[..., ::-1]
    return colors
