# SPDX-License-Identifier: Apache-2.0
"""Calibration messages of a color camera, for the tests of the depth node."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CameraInfo


def info_for(message: Any, focal: float = 120.0, **changes: Any) -> CameraInfo:
    """Calibration of an image; `changes` then spoil or adapt single fields."""
    info = CameraInfo(height=message.height, width=message.width, distortion_model='plumb_bob')
    x, y = message.width / 2 - 0.5, message.height / 2 - 0.5
    info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    info.p = [2 * focal, 0.0, x, 0.0, 0.0, 2 * focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [0.0] * 5
    info.header = message.header
    for name, value in changes.items():
        setattr(info, name, value)
    return info
