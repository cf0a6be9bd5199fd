# SPDX-License-Identifier: Apache-2.0
"""From a frame to the network input: what every pipeline does first, with the state in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.bundle_schema import InputSpec
from kd_perception.encodings import THERMAL_ENCODINGS
from kd_perception.errors import ImageEncodingError
from kd_perception.frames import ByteImage, Float32Image, Frame, Image
from kd_perception.freeze import FreezeDetector
from kd_perception.pipeline.config import CameraConfig
from kd_perception.preprocessing import (
    Agc,
    AgcImage,
    Letterbox,
    color_network_input,
    gray_from_color,
    letterbox,
    network_input,
    rgb_from_frame,
)

_FULL_SCALES = {'uint8': (255,), 'uint16': (16383, 65535)}  # 14-bit cores saturate at 16383


@dataclass(frozen=True)
class Seen:
    """A frame as the network will see it, before it is resized.

    Attributes:
        image: HxW samples of the thermal camera, or HxWx3 uint8 RGB.
        gain: The thermal image after gain control; None for color.
        frozen: The camera repeats a frame, or has just stopped doing so.
        saturated_share: Share of pixels at the full scale of the sample type, 0 to 1.
    """

    image: Image
    gain: AgcImage | None = None
    frozen: bool = False
    saturated_share: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the camera image."""
        return self.image.shape[0], self.image.shape[1]


class CameraSide:
    """Gain control and frozen-frame detection; the state depends on frames and stamps only.

    Args:
        spec: What the network takes.
        config: Camera and user settings.
    """

    def __init__(self, spec: InputSpec, config: CameraConfig) -> None:
        self._spec = spec
        self._network_size = (spec.height, spec.width)
        self._config = config
        self._agc = Agc(config.agc, config.radiometry)
        self._freeze = FreezeDetector()

    @property
    def sees_color(self) -> bool:
        """Whether the network takes color images."""
        return self._spec.modality == 'rgb'

    def configure(self, config: CameraConfig) -> None:
        """Use new settings from the next frame on; the gain restarts when its own change."""
        if (config.agc, config.radiometry) != (self._config.agc, self._config.radiometry):
            self._agc = Agc(config.agc, config.radiometry)
        self._config = config

    def reset(self) -> None:
        """Forget all earlier frames."""
        self._agc.reset()
        self._freeze.reset()

    def blank(self) -> Seen:
        """Give a black image of the network's size."""
        if self.sees_color:
            return Seen(np.zeros((*self._network_size, 3), np.uint8))
        gain = AgcImage(np.zeros(self._network_size, np.uint16), 0.0, 1.0)
        return Seen(gain.image, gain)

    def look(self, frame: Frame) -> Seen:
        """Take the next frame.

        Raises:
            KdPerceptionError: The frame cannot be used; the state is as it was.
        """
        image = rgb_from_frame(frame) if self.sees_color else self._thermal_image(frame)
        letterbox((image.shape[0], image.shape[1]), self._network_size)
        gain = None if self.sees_color else self._agc(image, frame.stamp_ns)
        frozen = self._freeze.is_frozen(frame, self._config.freeze)
        if self._freeze.thawed and gain is not None:
            self._agc.reset()
            gain = self._agc(image, frame.stamp_ns)
        return Seen(image, gain, frozen, _saturated_share(image))

    def network_input(self, seen: Seen) -> tuple[Float32Image, Letterbox]:
        """Resize and normalize what was seen."""
        if seen.gain is not None:
            return network_input(seen.gain.gray, self._network_size)
        return color_network_input(
            seen.image,
            self._network_size,
            mean=self._spec.mean,
            standard_deviation=self._spec.standard_deviation,
        )

    def output_size(self, camera_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the results for a camera image.

        Raises:
            ShapeError: As :func:`letterbox`.
        """
        if self._config.output_size == 'input':
            return camera_size
        return letterbox(camera_size, self._network_size).content_size

    def _thermal_image(self, frame: Frame) -> Image:
        if frame.encoding in THERMAL_ENCODINGS:
            return frame.image
        if self._config.allow_color_input:
            return gray_from_color(frame)
        raise ImageEncodingError(
            f'a thermal image must be {", ".join(THERMAL_ENCODINGS)}; received {frame.encoding}: '
            'use the camera topic without false color, or set allow_color_input'
        )


def gray_image(seen: Seen) -> ByteImage:
    """Give the gray image that the network saw: after gain control, or the luma of color."""
    if seen.gain is None:
        return np.asarray(gray_from_color(Frame(seen.image, 'rgb8', 0)), np.uint8)
    return (seen.gain.gray * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _saturated_share(image: Image) -> float:
    """Estimate the share of saturated pixels on every fourth row and column."""
    samples = image[::4, ::4]
    if image.dtype.kind == 'f':
        return float(1.0 - np.isfinite(samples).mean())
    if image.ndim == 3:
        return float((samples == 255).all(axis=2).mean())
    return float(np.isin(samples, _FULL_SCALES[image.dtype.name]).mean())
