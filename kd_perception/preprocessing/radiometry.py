# SPDX-License-Identifier: Apache-2.0
"""Raw counts to degrees Celsius."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_perception.errors import ConfigError
from kd_perception.frames import Float32Image, Image


@dataclass(frozen=True)
class Radiometry:
    """A camera's linear temperature scale: degrees Celsius = ``scale`` * raw + ``offset``."""

    scale: float
    offset: float

    def __post_init__(self) -> None:
        """Check the scale."""
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale <= 0:
            raise ConfigError(
                'radiometry.scale must be positive and finite and radiometry.offset finite; '
                f'received {self.scale} and {self.offset}'
            )

    def celsius_from_raw(self, image: Image) -> Float32Image:
        """Convert raw samples to degrees Celsius, float32 of the same shape."""
        return image.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)


RADIOMETRY_PRESETS: dict[str, Radiometry | None] = {
    'none': None,
    'lepton_10mk': Radiometry(0.01, -273.15),
    'lepton_100mk': Radiometry(0.1, -273.15),
    'flir_tlinear_10mk': Radiometry(0.01, -273.15),
    'flir_tlinear_100mk': Radiometry(0.1, -273.15),
    'optris': Radiometry(0.1, -100.0),
    'celsius_32f': Radiometry(1.0, 0.0),
    'kelvin_32f': Radiometry(1.0, -273.15),
}


def radiometry_from_preset(
    preset: str, scale: float = 1.0, offset: float = 0.0
) -> Radiometry | None:
    """Look up a camera's temperature scale.

    Args:
        preset: A key of :data:`RADIOMETRY_PRESETS`, or ``custom`` for ``scale`` and ``offset``.
        scale: Kelvin per raw count, for ``custom``.
        offset: Degrees Celsius at raw 0, for ``custom``.

    Raises:
        ConfigError: Unknown preset, or a scale that is not positive.
    """
    if preset == 'custom':
        return Radiometry(scale, offset)
    if preset not in RADIOMETRY_PRESETS:
        raise ConfigError(
            f'radiometry.preset must be custom or one of {", ".join(RADIOMETRY_PRESETS)}; '
            f'received {preset!r}'
        )
    return RADIOMETRY_PRESETS[preset]
