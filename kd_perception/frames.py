# SPDX-License-Identifier: Apache-2.0
"""One camera image with what its header says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
"""An image array: HxW (uint8, uint16, float32) or HxWx3 / HxWx4 (uint8)."""

Float32Image = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """An image as it left the camera.

    Attributes:
        image: HxW uint8, uint16 or float32 in native byte order, or HxWxC uint8 for color.
        encoding: sensor_msgs/image_encodings name, e.g. ``mono16``.
        stamp_ns: Acquisition time in nanoseconds; 0 when the driver left it empty.
        frame_id: Optical frame of the camera.
    """

    image: Image
    encoding: str
    stamp_ns: int
    frame_id: str = ''
