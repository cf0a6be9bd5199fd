# SPDX-License-Identifier: Apache-2.0
"""Images of a calibrated camera as a pinhole camera sees them, at a size of one's own.

A stereo pair is rectified by turning each camera by R of its camera_info. The recorded camera and
the turned one are two frames, and a header's frame_id tells one name for both. By
sensor_msgs/CameraInfo, P projects points of that frame to the rectified image, and image_geometry,
stereo_image_proc and depth_image_proc do so without R: the frame is the rectified one. Where tf or
a calibration of one's own speaks of the recorded camera, `Pinhole.rotation` is the step between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.camera_info import calibrated_image_size, matrix_of
from kd_perception.errors import ConfigError
from training.data.bag_views import scaling

Array = npt.NDArray[Any]

_FISHEYE: Final = 'equidistant'
_MODELS: Final = ('', 'plumb_bob', 'rational_polynomial', _FISHEYE)
_SAME_PX: Final = 0.1
_ROTATION_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Pinhole:
    """What becomes of the images of a camera.

    Attributes:
        matrix: intrinsic matrix of what is stored, float64 [3, 3].
        rotation: R, points of the recorded camera's frame to that of the rectified one, float64
            [3, 3]; the identity where nothing is turned.
        baseline_m: how far it stands to the right of the first camera of its pair; 0 for that.
        recorded_size: (height, width) of the recorded images.
        image_size: (height, width) of what is stored.
        maps: where each pixel of the rectified image is in the recorded one; None where that is
            the same image.
    """

    matrix: Array
    rotation: Array
    baseline_m: float
    recorded_size: tuple[int, int]
    image_size: tuple[int, int]
    maps: tuple[Array, Array] | None

    def image(self, recorded: Array) -> Array:
        """What is stored of a recorded image [height, width, ...].

        Raises:
            ConfigError: it has another size than the calibration.
        """
        if recorded.shape[:2] != self.recorded_size:
            raise ConfigError(
                f'images must have the size of their camera_info, {self.recorded_size}; received '
                f'{recorded.shape[:2]}'
            )
        if self.maps is not None:
            recorded = cv2.remap(recorded, *self.maps, cv2.INTER_LINEAR)
        shrinks = self.image_size[0] < self.recorded_size[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(recorded, self.image_size[::-1], interpolation=method))


def pinhole_camera(info: Any, topic: str, image_size: tuple[int, int]) -> Pinhole:
    """How to bring a camera's images to a pinhole camera, and which.

    Images of a topic `image_rect` follow P; all others are rectified by K, D, R and P, or
    undistorted by K and D where P is not set.

    Args:
        info: `sensor_msgs/CameraInfo`.
        topic: of the images.
        image_size: (height, width) of what shall be stored.

    Raises:
        ConfigError: the camera is not calibrated, its model of distortion is another one, R is no
            rotation, or it gives a part of its pixels only.
    """
    recorded_size = calibrated_image_size(info)
    if recorded_size != (info.height, info.width):
        raise ConfigError(f'{topic} must give whole images without binning, got {recorded_size}')
    k, p = (np.array(matrix_of(info, name), np.float64) for name in 'kp')
    k, p = k.reshape(3, 3), p.reshape(3, 4)
    new = p[:, :3] if p[0, 0] > 0.0 else k
    if k[0, 0] <= 0.0:
        raise ConfigError(
            f'the camera of {topic} must be calibrated: K[0] of its camera_info is 0'
        )
    rotation = _rotation(info, topic) if p[0, 0] > 0.0 else np.eye(3)
    named = 'image_rect' in topic.removesuffix('/compressed').rpartition('/')[2]
    maps = None if named else _maps(info, k, new, rotation, topic)
    return Pinhole(
        matrix=scaling(recorded_size, image_size) @ new,
        rotation=rotation,
        baseline_m=float(-p[0, 3] / p[0, 0]) if p[0, 0] > 0.0 else 0.0,
        recorded_size=recorded_size,
        image_size=image_size,
        maps=maps,
    )


def require_equal_cameras(left: Pinhole, right: Pinhole, topics: tuple[str, str]) -> None:
    """Refuse a pair whose views do not differ by a shift alone: depth would be wrong everywhere.

    Args:
        left: of the camera whose matrix counts for both.
        right: of the other one, stored at the same size.
        topics: of both, for the message.

    Raises:
        ConfigError: their matrices differ by more than a tenth of a pixel of what is stored.
    """
    off_px = np.abs(left.matrix - right.matrix).max()
    if off_px > _SAME_PX:
        told = (
            f'{topic} fx, fy, cx, cy {np.round(camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]], 2)}'
            for topic, camera in zip(topics, (left, right), strict=True)
        )
        raise ConfigError(
            f'both cameras of a rectified pair must have the same P but for P[3], at the size of '
            f'what is stored to {_SAME_PX} px; they differ by {off_px:.2f} px: {"; ".join(told)}. '
            'Calibrate with zero disparity (cv2.CALIB_ZERO_DISPARITY, as camera_calibration does) '
            'or record images that are rectified so'
        )


def _rotation(info: Any, topic: str) -> Array:
    """R of a camera; the identity where it is not set."""
    rotation = np.array(matrix_of(info, 'r'), np.float64).reshape(3, 3)
    if not rotation.any():
        return np.eye(3)
    off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not off < _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0.0:
        raise ConfigError(
            f'R in the camera_info of {topic} must be a rotation; it is off by {off:.3g}'
        )
    return rotation


def _maps(
    info: Any, k: Array, new: Array, rotation: Array, topic: str
) -> tuple[Array, Array] | None:
    if info.distortion_model not in _MODELS:
        raise ConfigError(
            f'the distortion of {topic} must be one of {", ".join(filter(None, _MODELS))}, got '
            f'{info.distortion_model!r}: record image_rect'
        )
    d = np.array(matrix_of(info, 'd'), np.float64)
    if not d.any() and np.allclose(rotation, np.eye(3)) and np.allclose(new, k):
        return None
    fisheye = info.distortion_model == _FISHEYE
    maps = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
    size = (info.width, info.height)
    first, second = maps(k, d[:4] if fisheye else d, rotation, new, size, cv2.CV_32FC1)
    return np.asarray(first), np.asarray(second)
