# SPDX-License-Identifier: Apache-2.0
"""Boxes cut to what a camera can see of them.

Reference:
    I. Sutherland and G. Hodgman, "Reentrant Polygon Clipping", Communications of the ACM, 1974.
"""

from __future__ import annotations

import numpy as np

from kd_perception.world.compiling import compiled
from kd_perception.world.scenes.shapes import Array

# Corners are numbered 4 x + 2 y + z; every face goes around.
_FACES = np.array(
    [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
)
_MOST_CORNERS = 12


@compiled
def clipped_rectangles(
    boxes: Array, focal_px: float, height: int, width: int, near_m: float
) -> Array:
    """Image rectangles that hold what is seen of boxes.

    Args:
        boxes: corners in camera coordinates [m], float64 [boxes, 8, 3].
        focal_px: focal length; the principal point is the middle of the image.
        height: image rows.
        width: image columns.
        near_m: nothing nearer is seen.

    Returns:
        (first row, last row + 1, first column, last column + 1), int32 [boxes, 4]; empty where
        nothing is seen.
    """
    # A point is within if plane @ point >= offset; one pixel is left around the image.
    x, y = (0.5 * width + 1.0) / focal_px, (0.5 * height + 1.0) / focal_px
    planes = np.array(
        [
            [0.0, 0.0, 1.0, near_m],
            [1.0, 0.0, x, 0.0],
            [-1.0, 0.0, x, 0.0],
            [0.0, 1.0, y, 0.0],
            [0.0, -1.0, y, 0.0],
        ]
    )
    windows = np.zeros((len(boxes), 4), np.int32)
    polygon, spare = np.empty((_MOST_CORNERS, 3)), np.empty((_MOST_CORNERS, 3))
    for k in range(len(boxes)):
        low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
        for face in _FACES:
            for i in range(4):
                polygon[i] = boxes[k, face[i]]
            count = 4
            for plane in planes:
                count = _clip(polygon, count, plane, spare)
                polygon, spare = spare, polygon
            for i in range(count):
                u = polygon[i, 0] / polygon[i, 2] * focal_px + 0.5 * (width - 1)
                v = polygon[i, 1] / polygon[i, 2] * focal_px + 0.5 * (height - 1)
                low_x, high_x = min(low_x, u), max(high_x, u)
                low_y, high_y = min(low_y, v), max(high_y, v)
        if low_x <= high_x:
            windows[k, 0] = min(max(np.floor(low_y), 0), height)
            windows[k, 1] = min(max(np.ceil(high_y) + 1, 0), height)
            windows[k, 2] = min(max(np.floor(low_x), 0), width)
            windows[k, 3] = min(max(np.ceil(high_x) + 1, 0), width)
    return windows


@compiled
def _clip(polygon: Array, count: int, plane: Array, clipped: Array) -> int:
    """The part of a polygon on the inner side of a plane; returns its number of corners."""
    kept = 0
    for i in range(count):
        first, second = polygon[i], polygon[(i + 1) % count]
        a = plane[0] * first[0] + plane[1] * first[1] + plane[2] * first[2] - plane[3]
        b = plane[0] * second[0] + plane[1] * second[1] + plane[2] * second[2] - plane[3]
        if a >= 0.0:
            clipped[kept] = first
            kept += 1
        if (a >= 0.0) != (b >= 0.0):
            clipped[kept] = first + a / (a - b) * (second - first)
            kept += 1
    return kept
