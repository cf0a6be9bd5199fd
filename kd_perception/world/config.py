# SPDX-License-Identifier: Apache-2.0
"""What may be set about the world. Everything else is drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

from kd_perception.errors import ConfigError


@dataclass(frozen=True)
class WorldConfig:
    """Camera, light and how much stands in the street.

    Args:
        height: image rows, >= 32.
        width: image columns, >= 32.
        focal_share: range of the focal length in image widths (0.95: 56 degrees across).
        camera_height_m: range of the camera's height above the ground.
        night_share: probability of a night scene, 0 to 1.
        density: factor on the number of things that have a class, >= 0.
        max_depth_m: depth beyond which `depth_m` of a frame is cut.
    """

    height: int = 480
    width: int = 640
    focal_share: tuple[float, float] = (0.85, 1.7)
    camera_height_m: tuple[float, float] = (0.9, 2.0)
    night_share: float = 0.45
    density: float = 1.0
    max_depth_m: float = 80.0

    def __post_init__(self) -> None:
        """Check the ranges; lists become tuples."""
        for name in ('focal_share', 'camera_height_m'):
            low, high = (float(end) for end in getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if not 0.0 < low <= high:
                raise ConfigError(f'{name} must be 0 < low <= high, got {low} and {high}')
        if min(self.height, self.width) < 32:
            raise ConfigError(
                f'height and width must be at least 32, got {self.height}x{self.width}'
            )
        if not 0.0 <= self.night_share <= 1.0 or self.density < 0.0 or self.max_depth_m <= 0.0:
            raise ConfigError(
                'night_share must be 0 to 1, density >= 0 and max_depth_m > 0, got '
                f'{self.night_share}, {self.density} and {self.max_depth_m}'
            )
