# SPDX-License-Identifier: Apache-2.0
"""Camera image to the static size of the network, and what is needed to undo it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.frames import Float32Image


class Letterbox(NamedTuple):
    """Where the camera image lies in the network input: top left, scaled, the rest is padding.

    Attributes:
        camera_size: (height, width) of the camera image.
        content_size: (height, width) of the scaled image in the network input.
        network_size: (height, width) of the network input.
    """

    camera_size: tuple[int, int]
    content_size: tuple[int, int]
    network_size: tuple[int, int]


def letterbox(camera_size: tuple[int, int], network_size: tuple[int, int]) -> Letterbox:
    """Fit the camera image into the network input without changing its aspect ratio.

    Raises:
        ShapeError: The camera image is so long and thin that a side would vanish.
    """
    scale = min(network_size[0] / camera_size[0], network_size[1] / camera_size[1])
    height, width = (round(side * scale) for side in camera_size)
    if height < 1 or width < 1:
        raise ShapeError(
            f'an image must keep pixels on both sides when it is fitted into {network_size}; '
            f'received {camera_size}'
        )
    return Letterbox(camera_size, (height, width), network_size)


def network_input(
    gray: Float32Image, network_size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Letterbox]:
    """Resize a normalized image to the network's size and pad right and below with its edge.

    Args:
        gray: HxW float32 in 0 to 1.
        network_size: (height, width) of the network input.

    Returns:
        float32 of shape (1, 1, height, width), and the geometry that postprocessing undoes.

    Raises:
        ShapeError: As :func:`letterbox`.
    """
    box = letterbox((gray.shape[0], gray.shape[1]), network_size)
    if box.camera_size != box.content_size:
        shrinks = box.content_size[0] < box.camera_size[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        gray = np.asarray(
            cv2.resize(gray, box.content_size[::-1], interpolation=method), np.float32
        )
    below, right = (full - part for full, part in zip(network_size, box.content_size, strict=True))
    if below or right:
        gray = np.pad(gray, ((0, below), (0, right)), mode='edge')
    return np.ascontiguousarray(gray)[None, None], box
