# SPDX-License-Identifier: Apache-2.0
"""Small color recordings with the calibration of their camera, and with true depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hand_made_depth import color_ramp
from sensor_images import encoded

from kd_perception.bags import BagWriter

TOPIC, INFO, TRUTH = '/camera/image_raw', '/camera/camera_info', '/camera/depth'
SIZE = (96, 128)

Truth = Callable[[int], np.ndarray]


def stamp_of(index: int) -> int:
    return (index + 1) * 100_000_000


def camera_matrix(focal: float) -> list[float]:
    return [focal, 0.0, 63.5, 0.0, focal, 47.5, 0.0, 0.0, 1.0]


def write_color_drive(
    path: Path,
    focals: Sequence[float | None],
    truth: Truth | None = None,
    encoding: str = '',
    *,
    camera: str = 'rgb8',
) -> Path:
    """One frame per focal length; None for a frame without camera_info.

    `encoding` is that of the truth, `camera` that of the images.
    """
    with BagWriter(path) as bag:
        for index, focal in enumerate(focals):
            stamp_ns = stamp_of(index)
            image = encoded(color_ramp(index), camera)
            bag.write_image(TOPIC, image, stamp_ns=stamp_ns, frame_id='optical', encoding=camera)
            if focal is not None:  # after the image: the stamp pairs them, not the order
                bag.write_camera_info(
                    INFO,
                    stamp_ns=stamp_ns,
                    image_size=SIZE,
                    camera_matrix=camera_matrix(focal),
                    frame_id='optical',
                )
            if truth is not None:
                bag.write_image(TRUTH, truth(index), stamp_ns=stamp_ns, encoding=encoding)
    return path
