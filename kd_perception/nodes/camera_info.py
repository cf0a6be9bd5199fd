# SPDX-License-Identifier: Apache-2.0
"""Finds the calibration that belongs to an image, and says when there is none."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CameraInfo

from kd_perception.nodes.messages import camera_info_at_size, nanoseconds_from_stamp

_KEPT = 30  # one second at 30 Hz


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
        self.state = _OFF if sync == 'off' else _ABSENT

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
        scaled = output_size != image_size
        self.state = self._judge(info, latest, header, image_size, exact is not None, scaled)
        if info is None or not _belongs(info, header, image_size):
            return None
        return camera_info_at_size(info, header, height=output_size[0], width=output_size[1])

    def _judge(
        self,
        info: CameraInfo | None,
        latest: CameraInfo | None,
        header: Any,
        image_size: tuple[int, int],
        exact: bool,
        scaled: bool,
    ) -> CalibrationState:
        if info is None:
            return _ABSENT if latest is None else _unpaired(latest, header)
        if (info.height, info.width) != image_size:
            return CalibrationState(
                2,
                f'camera_info is for {info.width}x{info.height}, the image has '
                f'{image_size[1]}x{image_size[0]}; not published',
            )
        if info.header.frame_id != header.frame_id:
            return CalibrationState(
                2,
                f'camera_info is for frame {info.header.frame_id!r}, the image has '
                f'{header.frame_id!r}; not published',
            )
        if info.k[0] == 0.0:
            return CalibrationState(2, 'the camera is not calibrated (K[0] = 0)')
        if not exact:
            return CalibrationState(1, 'latest camera_info used, none has the stamp of the image')
        return CalibrationState(1, 'paired, scaled') if scaled else CalibrationState(0, 'paired')


def _belongs(info: CameraInfo, header: Any, image_size: tuple[int, int]) -> bool:
    same_size = (info.height, info.width) == image_size
    return same_size and bool(info.header.frame_id == header.frame_id)


def _unpaired(latest: CameraInfo, header: Any) -> CalibrationState:
    age_ms = nanoseconds_from_stamp(header.stamp) - nanoseconds_from_stamp(latest.header.stamp)
    return CalibrationState(
        1, f'no camera_info has the stamp of the image (latest: {age_ms * 1e-6:.1f} ms before)'
    )
