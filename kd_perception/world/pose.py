# SPDX-License-Identifier: Apache-2.0
"""Orientation of the camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def camera_rotation(yaw: float, pitch: float, roll: float) -> npt.NDArray[Any]:
    """Rotation of a camera (right, down, forward) to the world, float64 [3, 3].

    Args:
        yaw: to the right [rad].
        pitch: upward [rad].
        roll: clockwise [rad].
    """
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: npt.NDArray[Any] = turn @ tilt @ lean
    return rotation
