# SPDX-License-Identifier: Apache-2.0
"""Finds the calibration that belongs to an image, and what it says of its focal length."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

CameraInfo = Any
"""A sensor_msgs/CameraInfo, of rclpy or of the bag reader."""

_KEPT = 1000  # about 1 kB each; frames may wait, and their calibration with them


@dataclass(frozen=True)
class CalibrationState:
    """What was found for the last image.

    Attributes:
        severity: 0 fine, 1 worth a warning, 2 an error.
        text: One line for people.
    """

    severity: int
    text: str


_ABSENT = CalibrationState(0, 'no camera_info received')
_OFF = CalibrationState(0, 'camera_info is not used (camera_info.sync: off)')
PAIRED = CalibrationState(0, 'paired')


class CameraInfoPairing:
    """Keeps recent CameraInfo messages and pairs them with images by stamp.

    A CameraInfo of another size or another frame than the image is never published with it, and
    one with another stamp only under ``exact_or_latest``, which is told.

    Args:
        sync: The parameter ``camera_info.sync``: ``exact``, ``exact_or_latest`` or ``off``.
    """

    def __init__(self, sync: str) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._by_stamp: OrderedDict[int, CameraInfo] = OrderedDict()
        self._latest: CameraInfo | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything, as on activate: another camera may send now."""
        with self._lock:
            self._by_stamp.clear()
            self._latest = None
        self.state = _OFF if self._sync == 'off' else _ABSENT

    def add(self, info: CameraInfo) -> None:
        """Remember a CameraInfo message."""
        stamp_ns = nanoseconds_from_stamp(info.header.stamp)
        with self._lock:
            self._by_stamp[stamp_ns] = self._latest = info
            self._by_stamp.move_to_end(stamp_ns)
            if len(self._by_stamp) > _KEPT:
                self._by_stamp.popitem(last=False)

    def match(self, header: Any, image_size: tuple[int, int]) -> CameraInfo | None:
        """Return the CameraInfo of an image, None where there is none that fits.

        Args:
            header: Header of the image.
            image_size: (height, width) of the image.
        """
        if self._sync == 'off':
            return None
        stamp_ns = nanoseconds_from_stamp(header.stamp)
        with self._lock:
            exact, latest = self._by_stamp.get(stamp_ns), self._latest
        info = exact
        if info is None and self._sync == 'exact_or_latest':
            info = latest
        if info is None:
            self.state = _ABSENT if latest is None else _unpaired(latest, header)
            return None
        misfit = _misfit(info, header, image_size)
        if misfit:
            self.state = CalibrationState(2, f'{misfit}; not published')
            return None
        self.state = _judge(info, exact=exact is not None)
        return info


def _misfit(info: CameraInfo, header: Any, image_size: tuple[int, int]) -> str:
    """Say why a CameraInfo cannot be that of an image; empty if it can."""
    height, width = calibrated_image_size(info)
    if (height, width) != image_size:
        return (
            f'camera_info is for {width}x{height}, the image has {image_size[1]}x{image_size[0]}'
        )
    if info.header.frame_id != header.frame_id:
        return (
            f'camera_info is for frame {info.header.frame_id!r}, the image has {header.frame_id!r}'
        )
    return ''


def _judge(info: CameraInfo, *, exact: bool) -> CalibrationState:
    if matrix_of(info, 'k')[0] == 0.0:
        return CalibrationState(2, 'the camera is not calibrated (K[0] = 0)')
    if not exact:
        return CalibrationState(1, 'latest camera_info used, none has the stamp of the image')
    return PAIRED


def _unpaired(latest: CameraInfo, header: Any) -> CalibrationState:
    age_ms = nanoseconds_from_stamp(header.stamp) - nanoseconds_from_stamp(latest.header.stamp)
    return CalibrationState(
        1, f'no camera_info has the stamp of the image (latest: {age_ms * 1e-6:.1f} ms before)'
    )


def nanoseconds_from_stamp(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def calibrated_image_size(info: CameraInfo) -> tuple[int, int]:
    """Return (height, width) of the images that a CameraInfo is for.

    Its own height and width are those of the calibration; a region of interest, given in pixels
    of the calibration, and binning make images smaller.

    Reference: REP 104.
    """
    height, width = info.roi.height or info.height, info.roi.width or info.width
    return height // max(info.binning_y, 1), width // max(info.binning_x, 1)


def matrix_of(info: CameraInfo, name: str) -> Any:
    """Return ``k``, ``d`` or ``p``: the bag reader keeps the capital letters of ROS 1 bags."""
    return getattr(info, name) if hasattr(info, name) else getattr(info, name.upper())


class FocalLength(NamedTuple):
    """What a CameraInfo says of an image for its depth.

    Attributes:
        focal_px: Horizontal focal length [px]; None where the camera is not calibrated.
        is_distorted: The image shows the distortion of the lens.
    """

    focal_px: float | None
    is_distorted: bool


def focal_length(
    info: CameraInfo | None, image_width: int, *, topic: str, rectified: str
) -> FocalLength:
    """Read the focal length at the size of an image.

    Rectified images follow P, others K; without distortion they are the same camera.

    Args:
        info: Calibration that fits the image, scaled or not; None where there is none.
        image_width: Width of the image [px].
        topic: Name of the image topic.
        rectified: The parameter ``input_is_rectified``: ``yes``, ``no``, or ``auto`` to take a
            topic named ``image_rect`` or ``image_rect_color`` for rectified.
    """
    if info is None:
        return FocalLength(None, False)
    named = 'image_rect' in topic.removesuffix('/compressed').rpartition('/')[2]
    follows_p = rectified == 'yes' or (rectified == 'auto' and named)
    projected = float(matrix_of(info, 'p')[0]) if follows_p else 0.0
    focal = projected if projected > 0 else float(matrix_of(info, 'k')[0])
    distorted = not follows_p and any(float(value) != 0 for value in matrix_of(info, 'd'))
    if not 0.0 < focal < math.inf:
        return FocalLength(None, distorted)
    scale = image_width / calibrated_image_size(info)[1] / max(info.binning_x, 1)
    return FocalLength(focal * scale, distorted)
