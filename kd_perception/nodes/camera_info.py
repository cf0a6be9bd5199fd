# SPDX-License-Identifier: Apache-2.0
"""The calibration of an image as a message to publish with the results."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CameraInfo

from kd_perception import camera_info
from kd_perception.camera_info import PAIRED, CalibrationState
from kd_perception.camera_info_changes import camera_info_at_size

__all__ = ['CalibrationState', 'CameraInfoPairing']


class CameraInfoPairing(camera_info.CameraInfoPairing):
    """Pairs CameraInfo messages with images; see `kd_perception.camera_info`."""

    def info_for(
        self, header: Any, image_size: tuple[int, int], output_size: tuple[int, int]
    ) -> CameraInfo | None:
        """Return the CameraInfo to publish with the outputs of an image.

        Args:
            header: Header of the image; the result carries it.
            image_size: (height, width) of the image.
            output_size: (height, width) of the outputs.
        """
        info = self.match(header, image_size)
        return None if info is None else self.at_size(info, header, image_size, output_size)

    def at_size(
        self,
        info: CameraInfo,
        header: Any,
        image_size: tuple[int, int],
        output_size: tuple[int, int],
    ) -> CameraInfo:
        """Return a CameraInfo that fits an image for its outputs; see `info_for`."""
        if output_size != image_size and self.state == PAIRED:
            self.state = CalibrationState(1, 'paired, scaled')
        return camera_info_at_size(info, header, height=output_size[0], width=output_size[1])
