# SPDX-License-Identifier: Apache-2.0
"""Named configurations of the world: weather, cold objects, a sensor never trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from kd_perception.errors import ConfigError
from kd_perception.world.config import SensorRanges, WorldConfig

_PLAIN_WEATHER: Final[dict[str, Any]] = {
    'glare_share': 0.0,
    'rain_share': 0.0,
    'fog_share': 0.0,
}

_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        'default': {},
        'day': {'night_share': 0.0, **_PLAIN_WEATHER},
        'night': {'night_share': 1.0, **_PLAIN_WEATHER},
        'glare': {'night_share': 0.5, **_PLAIN_WEATHER, 'glare_share': 1.0},
        'rain': {**_PLAIN_WEATHER, 'rain_share': 1.0},
        'fog': {**_PLAIN_WEATHER, 'fog_share': 1.0},
        'hard': {'cold_share': 0.9, 'density': 0.45, 'night_share': 0.6},
        'shifted': {
            'sensor': SensorRanges(
                blur_share=(0.0042, 0.0075), netd_k=(0.18, 0.35), pattern_k=(0.18, 0.4)
            ),
            'focal_share': (0.55, 0.8),
            'camera_height_m': (2.2, 3.2),
            'cold_share': 0.45,
            'night_share': 0.85,
        },
    }
)

PRESETS: Final = tuple(_SETTINGS)
"""Names that `preset` knows. Sensor, lens and camera height of `shifted` share no value with those
of the other presets."""


def preset(name: str, **overrides: Any) -> WorldConfig:
    """The configuration of a preset.

    Args:
        name: one of `PRESETS`.
        overrides: fields of `WorldConfig` that differ from the preset's.

    Raises:
        ConfigError: for an unknown name, or overrides that `WorldConfig` refuses.
    """
    if name not in _SETTINGS:
        raise ConfigError(f'preset must be one of {", ".join(PRESETS)}, got {name!r}')
    try:
        return replace(WorldConfig(**_SETTINGS[name]), **overrides)
    except TypeError as error:
        raise ConfigError(f'overrides must be fields of WorldConfig: {error}') from error
