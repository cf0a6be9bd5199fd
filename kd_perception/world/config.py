# SPDX-License-Identifier: Apache-2.0
"""What may be set about the world. Everything else is drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf, isfinite
from numbers import Integral, Real

from kd_perception.errors import ConfigError

Range = tuple[float, float]


@dataclass(frozen=True)
class SensorRanges:
    """From what the thermal camera of a frame (of a drive) is drawn.

    Args:
        blur_share: deviation of the point spread function in image widths.
        netd_k: temporal noise per pixel [K].
        pattern_k: fixed pattern of columns, pixels and corners [K].
    """

    blur_share: Range = (0.0012, 0.0036)
    netd_k: Range = (0.02, 0.15)
    pattern_k: Range = (0.01, 0.15)

    def __post_init__(self) -> None:
        """Check the ranges; lists become tuples."""
        _check_ranges(self, tuple(f.name for f in fields(self)))


@dataclass(frozen=True)
class WorldConfig:
    """Camera, light, weather and how much stands in the street.

    Args:
        height: image rows, >= 32.
        width: image columns, >= 32.
        supersampling: 1, or 2 to render at twice the size and average.
        focal_share: range of the focal length in image widths (0.95: 56 degrees across).
        camera_height_m: range of the camera's height above the ground.
        night_share: probability of a night scene, 0 to 1.
        glare_share: probability of a low sun before the camera by day, of dazzling lamps by night.
        rain_share: probability of rain, which leaves the road wet.
        fog_share: probability of fog.
        density: factor on the number of things that have a class, >= 0.
        cold_share: probability that a thing with own heat (car, person) is as cold as its
            surroundings, 0 to 1.
        paired: whether cones always stand on a hatched patch and bikes always beside a rack,
            co-occurrences that image-level supervision cannot tell apart.
        baseline_m: distance of the right camera [m].
        interval_s: time to the previous and to the next frame [s].
        max_depth_m: depth beyond which `depth_m` of a frame is cut.
        sensor: from what the thermal camera is drawn.
    """

    height: int = 480
    width: int = 640
    supersampling: int = 1
    focal_share: Range = (0.85, 1.7)
    camera_height_m: Range = (0.9, 2.0)
    night_share: float = 0.45
    glare_share: float = 0.12
    rain_share: float = 0.15
    fog_share: float = 0.1
    density: float = 1.0
    cold_share: float = 0.12
    paired: bool = False
    baseline_m: float = 0.54
    interval_s: float = 0.1
    max_depth_m: float = 80.0
    sensor: SensorRanges = field(default_factory=SensorRanges)

    def __post_init__(self) -> None:
        """Check the values; lists become tuples."""
        for name in ('height', 'width', 'supersampling'):
            _check_whole(self, name)
        _check_ranges(self, ('focal_share', 'camera_height_m'))
        if min(self.height, self.width) < 32:
            raise ConfigError(
                f'height and width must be at least 32, got {self.height}x{self.width}'
            )
        if self.supersampling not in (1, 2):
            raise ConfigError(f'supersampling must be 1 or 2, got {self.supersampling}')
        for name in ('night_share', 'glare_share', 'rain_share', 'fog_share', 'cold_share'):
            if not 0.0 <= _finite(self, name) <= 1.0:
                raise ConfigError(f'{name} must be 0 to 1, got {getattr(self, name)}')
        if not _finite(self, 'density') >= 0.0:
            raise ConfigError(f'density must be >= 0, got {self.density}')
        for name in ('baseline_m', 'interval_s', 'max_depth_m'):
            if not _finite(self, name) > 0.0:
                raise ConfigError(f'{name} must be > 0, got {getattr(self, name)}')


def _check_whole(config: object, name: str) -> None:
    value = getattr(config, name)
    if not isinstance(value, Integral):
        raise ConfigError(f'{name} must be a whole number such as 480, got {value!r}')
    object.__setattr__(config, name, int(value))


def _finite(config: object, name: str) -> float:
    value = getattr(config, name)
    if not isinstance(value, Real) or not isfinite(value):
        raise ConfigError(f'{name} must be a finite number, got {value!r}')
    return float(value)


def _check_ranges(config: object, names: tuple[str, ...]) -> None:
    for name in names:
        ends = getattr(config, name)
        try:
            low, high = (float(end) for end in ends)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f'{name} must be two numbers, the lowest and the highest, got {ends!r}'
            ) from error
        object.__setattr__(config, name, (low, high))
        if not 0.0 < low <= high < inf:
            raise ConfigError(f'{name} must be 0 < low <= high, both finite, got {low} and {high}')
