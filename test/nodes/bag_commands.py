# SPDX-License-Identifier: Apache-2.0
"""A drive to play, and the end of the commands that play and record it."""

from __future__ import annotations

import numpy as np

from kd_perception.bags import BagWriter

PERIOD_NS = 50_000_000


def write_drive(path, name, count, *, with_info=True):
    """Images of 12x16 px, 20 per second, each with a camera_info of the same stamp."""
    with BagWriter(path) as bag:
        for index in range(count):
            image = np.full((12, 16), index, np.uint16)
            stamp_ns = 1_600_000_000_000_000_000 + index * PERIOD_NS
            bag.write_image(f'/{name}/image_raw', image, stamp_ns=stamp_ns, frame_id='optical')
            if with_info:
                bag.write_camera_info(
                    f'/{name}/camera_info',
                    stamp_ns=stamp_ns,
                    image_size=(12, 16),
                    camera_matrix=[0.0] * 9,
                )
    return path


def finish(process, expected=0, timeout_s=40):
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == expected, err
    assert 'Traceback' not in err, err
    return out, err
