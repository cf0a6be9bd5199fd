# SPDX-License-Identifier: Apache-2.0
"""Finds the calibration that belongs to an image, and what it says of its focal length."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

CameraInfo = Any
"""A sensor_msgs/CameraInfo, of rclpy or of the bag reader."""

# In image widths: fields of view of 179 to 0.06 degrees. What lies beyond is a broken calibration.
_LEAST_FOCAL, _LARGEST_FOCAL = 0.01, 1000.0

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
        self._came = threading.Condition(self._lock)
        self._by_stamp: OrderedDict[int, CameraInfo] = OrderedDict()
        self._latest: CameraInfo | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything, as on activate: another camera may send now."""
        with self._lock:
            self._by_stamp.clear()
            self._latest = None
            self._missed: tuple[int, float] | None = None
        self.state = _OFF if self._sync == 'off' else _ABSENT

    def add(self, info: CameraInfo) -> None:
        """Remember a CameraInfo message."""
        stamp_ns = nanoseconds_from_stamp(info.header.stamp)
        with self._lock:
            if self._is_just_late(stamp_ns):
                self._missed = None
            self._by_stamp[stamp_ns] = self._latest = info
            self._by_stamp.move_to_end(stamp_ns)
            if len(self._by_stamp) > _KEPT:
                self._by_stamp.popitem(last=False)
            self._came.notify_all()

    def match(
        self, header: Any, image_size: tuple[int, int], wait_s: float = 0.0
    ) -> CameraInfo | None:
        """Return the CameraInfo of an image, None where there is none that fits.

        Args:
            header: Header of the image.
            image_size: (height, width) of the image.
            wait_s: How long to wait for one with the stamp of the image, as drivers send the image
                first; not where the last one did not come within that time.
        """
        if self._sync == 'off':
            return None
        stamp_ns = nanoseconds_from_stamp(header.stamp)
        with self._lock:
            exact = self._exact(stamp_ns, wait_s)
            latest = self._latest
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

    def _exact(self, stamp_ns: int, wait_s: float) -> CameraInfo | None:
        """Wait for a calibration if none was missed before; remember which was, and from when."""
        deadline_s = monotonic() + wait_s
        if self._missed is None:
            self._came.wait_for(lambda: stamp_ns in self._by_stamp, wait_s)
        found = self._by_stamp.get(stamp_ns)
        self._missed = (stamp_ns, deadline_s) if found is None else None
        return found

    def _is_just_late(self, stamp_ns: int) -> bool:
        """Tell whether it would have been worth while to wait for this one."""
        missed_ns, deadline_s = self._missed or (-1, 0.0)
        return stamp_ns == missed_ns and monotonic() < deadline_s


def _misfit(info: CameraInfo, header: Any, image_size: tuple[int, int]) -> str:
    """Say why a CameraInfo cannot be that of an image; empty if it can."""
    roi = info.roi
    if roi.x_offset + roi.width > info.width or roi.y_offset + roi.height > info.height:
        return (
            f'camera_info has a region of {roi.width}x{roi.height} at {roi.x_offset}, '
            f'{roi.y_offset} of {info.width}x{info.height} pixels'
        )
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
    focal = float(matrix_of(info, 'k')[0])
    if not _is_focal_length(focal, info):
        return CalibrationState(2, f'the camera is not calibrated (K[0] = {focal:g})')
    if not exact:
        return CalibrationState(1, 'latest camera_info used, none has the stamp of the image')
    return PAIRED


def _is_focal_length(value: float, info: CameraInfo) -> bool:
    """Tell whether a number of K or P can be one; NaN cannot."""
    return bool(_LEAST_FOCAL * info.width <= value <= _LARGEST_FOCAL * info.width)


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
        is_distorted: The image shows, or is said to show, the distortion of the lens.
        follows_k: It was read from K, not from P.
    """

    focal_px: float | None
    is_distorted: bool
    follows_k: bool


def focal_length(
    info: CameraInfo | None, image_width: int, *, topic: str, rectified: str
) -> FocalLength:
    """Read the focal length at the size of an image.

    Rectified images follow P, others K. A camera without K is not calibrated, whatever P says.

    Args:
        info: Calibration that fits the image, scaled or not; None where there is none.
        image_width: Width of the image [px].
        topic: Name of the image topic.
        rectified: The parameter ``input_is_rectified``: ``yes``, ``no``, or ``auto`` to take a
            topic named ``image_rect`` or ``image_rect_color`` for rectified.
    """
    if info is None:
        return FocalLength(None, rectified == 'no', True)
    named = 'image_rect' in topic.removesuffix('/compressed').rpartition('/')[2]
    follows_p = rectified == 'yes' or (rectified == 'auto' and named)
    own, projected = (float(matrix_of(info, name)[0]) for name in ('k', 'p'))
    follows_k = not (follows_p and _is_focal_length(projected, info))
    lens = any(float(value) != 0 for value in matrix_of(info, 'd'))
    distorted = rectified == 'no' or (not follows_p and lens)
    if not _is_focal_length(own, info):
        return FocalLength(None, distorted, follows_k)
    scale = image_width / calibrated_image_size(info)[1] / max(info.binning_x, 1)
    return FocalLength((own if follows_k else projected) * scale, distorted, follows_k)
