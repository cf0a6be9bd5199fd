# SPDX-License-Identifier: Apache-2.0
"""CameraInfo without ROS, for the tests of what is made of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def info(width: int = 640, height: int = 480, **changes: Any) -> Any:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    header = SimpleNamespace(frame_id='optical', stamp=SimpleNamespace(sec=1, nanosec=0))
    values: dict[str, Any] = {
        'header': header, 'width': width, 'height': height, 'roi': roi,
        'binning_x': 0, 'binning_y': 0, 'd': [0.0] * 5,
        'k': [500.0, 0, 320, 0, 500, 240, 0, 0, 1],
        'p': [400.0, 0, 320, 0, 0, 400, 240, 0, 0, 0, 1, 0],
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))
