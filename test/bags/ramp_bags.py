# SPDX-License-Identifier: Apache-2.0
"""Small bags of noise images, for the tests of reader and writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

from kd_perception.bags import BagWriter

TOPIC = '/thermal/image_raw'
STORAGES = ('mcap', 'sqlite3')
# The bag folders of each example have their own name below one temporary folder.
in_tmp_path = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ramp(height: int, width: int, dtype: type = np.uint16, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 250, (height, width))
    return values.astype(dtype)


def write_ramps(path: Path, count: int, storage: str = 'mcap') -> Path:
    with BagWriter(path, storage=storage) as bag:
        for index in range(count):
            stamp_ns = 1_000 + index * 100_000_000
            bag.write_image(TOPIC, ramp(12, 16, seed=index), stamp_ns=stamp_ns, frame_id='optical')
            bag.write_camera_info(
                '/thermal/camera_info',
                stamp_ns=stamp_ns,
                image_size=(12, 16),
                camera_matrix=[20.0, 0.0, 8.0, 0.0, 20.0, 6.0, 0.0, 0.0, 1.0],
            )
    return path
