# SPDX-License-Identifier: Apache-2.0
"""Images of two cameras to one size and one view.

Both are resized plainly, each side by its own factor, so that every pixel is a measured one: there
is no padding that nobody could tell from the scene. A color image can be brought onto the thermal
view by a homography; where the color camera does not look, it is black then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, ImageEncodingError
from kd_perception.frames import Frame
from training.data.bag_cameras import Camera

Array = npt.NDArray[Any]

_RGB_FROM: Final = {
    'bgr8': cv2.COLOR_BGR2RGB,
    '8UC3': cv2.COLOR_BGR2RGB,  # as OpenCV and the robot's own gray_from_color have it
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
}


class Views:
    """Makes the stored images.

    Args:
        thermal: what all thermal images must be like.
        rgb: what all color images must be like.
        image_size: (height, width) of both results; empty for that of the thermal image.
        rgb_to_thermal: rows of the homography that takes a pixel (x, y) of the recorded color
            image to the recorded thermal image; empty if both show the same view.

    Raises:
        ConfigError: nothing of the color image would be seen.
    """

    def __init__(
        self,
        thermal: Camera,
        rgb: Camera,
        image_size: Sequence[int] = (),
        rgb_to_thermal: Sequence[float] = (),
    ) -> None:
        height, width = image_size or thermal.image_size
        self.cameras = {'thermal': thermal, 'rgb': rgb}
        self.image_size = (height, width)
        self._matrix = None
        if len(rgb_to_thermal):
            homography = np.reshape(np.asarray(rgb_to_thermal, np.float64), (3, 3))
            self._matrix = scaling(thermal.image_size, self.image_size) @ homography
        self.covered = self._covered()
        """Share of the view that the color image fills."""

    def image(self, kind: str, frame: Frame) -> Array:
        """A stored image, `thermal` [height, width] or `rgb` [height, width, 3].

        Raises:
            ImageEncodingError: the frame is not like the others of its topic.
        """
        camera = self.cameras[kind]
        found = (frame.encoding, frame.image.shape[:2], str(frame.image.dtype))
        if found != (camera.encoding, camera.image_size, camera.dtype):
            raise ImageEncodingError(
                f'all images of {camera} must be alike; received {found[0]} of {found[1]}'
            )
        if kind == 'thermal':
            return _resized(frame.image, self.image_size)
        code = _RGB_FROM.get(frame.encoding)
        rgb = frame.image if code is None else np.asarray(cv2.cvtColor(frame.image, code))
        return self._onto_view(np.ascontiguousarray(rgb))

    def _onto_view(self, rgb: Array) -> Array:
        if self._matrix is None:
            return _resized(rgb, self.image_size)
        size = rgb.shape[:2]
        zoom = _zoom(self._matrix, size)
        # A warp looks at four pixels of its source: shrink first, or fine patterns alias.
        small = tuple(max(1, round(side * min(zoom, 1.0))) for side in size)
        matrix = self._matrix @ scaling((small[0], small[1]), (size[0], size[1]))
        rgb = _resized(rgb, (small[0], small[1]))
        return np.asarray(cv2.warpPerspective(rgb, matrix, self.image_size[::-1]))

    def _covered(self) -> float:
        if self._matrix is None:
            return 1.0
        white = np.full((*self.cameras['rgb'].image_size, 3), 255, np.uint8)
        share = float((self._onto_view(white) > 127).mean())
        if share == 0.0:
            raise ConfigError(
                'rgb_to_thermal must take pixels of the color image onto the thermal image, and '
                f'none arrives there: {self.cameras["rgb"]} to {self.cameras["thermal"]}. It must '
                'be the matrix from color to thermal pixels, not its inverse'
            )
        return share


def check_homography(values: Sequence[float]) -> None:
    """Refuse what is no homography.

    Raises:
        ConfigError: not nine finite numbers, or a matrix that has no inverse.
    """
    if not len(values):
        return
    matrix = np.asarray(values, np.float64)
    if matrix.shape != (9,) or not np.isfinite(matrix).all():
        raise ConfigError(f'rgb_to_thermal must be nine finite numbers or none, got {values}')
    if np.linalg.matrix_rank(matrix.reshape(3, 3)) < 3:
        raise ConfigError(f'rgb_to_thermal must have an inverse, got {values}')


def _resized(image: Array, size: tuple[int, int]) -> Array:
    if image.shape[:2] == size:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method))


def scaling(size: tuple[int, int], target: tuple[int, int]) -> Array:
    """Pixels of an image to those of the resized one; both count from the first pixel's center."""
    y, x = (there / here for here, there in zip(size, target, strict=True))
    return np.array([[x, 0.0, (x - 1.0) / 2.0], [0.0, y, (y - 1.0) / 2.0], [0.0, 0.0, 1.0]])


def _zoom(matrix: Array, size: tuple[int, int]) -> float:
    """By how much lengths grow at the middle of the image."""
    middle = np.array([(size[1] - 1) / 2.0, (size[0] - 1) / 2.0, 1.0])
    depth = float(matrix[2] @ middle)
    if depth == 0.0:
        return 1.0
    return float(abs(np.linalg.det(matrix) / depth**3) ** 0.5)
