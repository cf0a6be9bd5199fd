# SPDX-License-Identifier: Apache-2.0
"""A configuration that could not be rendered is refused where it is made."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.world import SensorRanges, WorldConfig


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('height', 16),
        ('height', 48.5),
        ('width', 64.0),
        ('width', '64'),
        ('supersampling', 3),
        ('supersampling', 1.0),
        ('focal_share', (1.5, 1.0)),
        ('focal_share', (1.0, inf)),
        ('focal_share', (nan, 1.0)),
        ('focal_share', (0.9, 1.0, 1.1)),
        ('focal_share', 1.2),
        ('focal_share', ('wide', 'narrow')),
        ('camera_height_m', (0.0, 1.0)),
        ('camera_height_m', (1.0,)),
        ('night_share', 1.5),
        ('cold_share', 'never'),
        ('fog_share', nan),
        ('density', -1.0),
        ('density', inf),
        ('density', None),
        ('interval_s', 0.0),
        ('baseline_m', inf),
        ('max_depth_m', inf),
    ],
)
def test_bad_configurations_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        WorldConfig(**{field: value})


@pytest.mark.parametrize('ends', [(0.3, 0.1), (0.0, 0.1), (0.1, inf), (0.1, 0.2, 0.3), 0.1])
def test_bad_sensor_ranges_are_refused(ends):
    with pytest.raises(ConfigError, match='netd_k'):
        SensorRanges(netd_k=ends)


def test_what_files_and_arrays_hold_becomes_plain():
    config = WorldConfig(height=np.int64(48), width=64, focal_share=[1, np.float32(1.5)])
    assert config == WorldConfig(height=48, width=64, focal_share=(1.0, 1.5))
    assert type(config.height) is int and type(config.focal_share) is tuple
