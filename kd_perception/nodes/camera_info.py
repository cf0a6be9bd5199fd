# SPDX-License-Identifier: Apache-2.0
"""Finds the calibration that belongs to an image, and says when there is none."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CameraInfo

from kd_perception.nodes.messages import (
    calibrated_image_size,
    camera_info_at_size,
    nanoseconds_from_stamp,
)

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

    def info_for(
        self, header: Any, image_size: tuple[int, int], output_size: tuple[int, int]
    ) -> CameraInfo | None:
        """Return the CameraInfo to publish with the outputs of an image.

        Args:
            header: Header of the image; the result carries it.
            image_size: (height, width) of the image.
            output_size: (height, width) of the outputs.
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
        self.state = _judge(info, exact=exact is not None, scaled=output_size != image_size)
        return camera_info_at_size(info, header, height=output_size[0], width=output_size[1])


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


def _judge(info: CameraInfo, *, exact: bool, scaled: bool) -> CalibrationState:
    if info.k[0] == 0.0:
        return CalibrationState(2, 'the camera is not calibrated (K[0] = 0)')
    if not exact:
        return CalibrationState(1, 'latest camera_info used, none has the stamp of the image')
    return CalibrationState(1, 'paired, scaled') if scaled else CalibrationState(0, 'paired')


def _unpaired(latest: CameraInfo, header: Any) -> CalibrationState:
    age_ms = nanoseconds_from_stamp(header.stamp) - nanoseconds_from_stamp(latest.header.stamp)
    return CalibrationState(
        1, f'no camera_info has the stamp of the image (latest: {age_ms * 1e-6:.1f} ms before)'
    )
