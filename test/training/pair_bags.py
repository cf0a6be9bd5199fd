# SPDX-License-Identifier: Apache-2.0
"""Small recordings of a thermal and a color camera, for the tests of pairs."""

from __future__ import annotations

import cv2
import numpy as np

from kd_perception.bags import BagWriter
from kd_perception.bags.types import common_types
from training.data.bag import BagPairsConfig, load_bag
from training.data.bag_report import REASONS

THERMAL, COLOR = '/thermal/image_raw', '/camera/color/image_raw'
START_NS, STEP_NS, MS = 1_700_000_000_000_000_000, 100_000_000, 1_000_000
SIZE = (48, 64)


def stamp_of(index, offset_ms=0.0):
    return START_NS + index * STEP_NS + round(offset_ms * MS)


def heat(index, size=SIZE, dtype=np.uint16):
    return np.random.default_rng([index, 0]).integers(0, 250, size).astype(dtype)


def color(index, size=SIZE):
    return np.random.default_rng([index, 1]).integers(0, 250, (*size, 3)).astype(np.uint8)


def write_pairs(path, count=6, *, offset_ms=3.0, heat_of=heat, color_of=color, **writer):
    """Write pairs of equal number, the color image some milliseconds after the thermal one."""
    with BagWriter(path, **writer) as bag:
        for index in range(count):
            bag.write_image(THERMAL, heat_of(index), stamp_ns=stamp_of(index))
            bag.write_image(COLOR, color_of(index), stamp_ns=stamp_of(index, offset_ms))
    return path


def cut_image(bag, topic, image, stamp_ns):
    """Write an image message that lost its last pixel."""
    types = common_types().types
    stamp = types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
    height, width = image.shape[:2]
    message = types['sensor_msgs/msg/Image'](
        header=types['std_msgs/msg/Header'](stamp=stamp, frame_id=''),
        height=height,
        width=width,
        encoding='mono16' if image.ndim == 2 else 'rgb8',
        is_bigendian=0,
        step=image.nbytes // height,
        data=np.frombuffer(image.tobytes()[:-1], np.uint8),
    )
    bag.write_message(topic, message, log_time_ns=stamp_ns)


def compressed_image(bag, topic, image, stamp_ns, suffix='.png'):
    """Write a compressed image, of color in the order red, green, blue."""
    types = common_types().types
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    message = types['sensor_msgs/msg/CompressedImage'](
        header=types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9)), frame_id=''
        ),
        format=suffix[1:],
        data=cv2.imencode(suffix, pixels)[1].ravel(),
    )
    bag.write_message(topic, message, log_time_ns=stamp_ns)


def extracted(path, tmp_path, **settings):
    """The pairs of a recording, through the cache of a test."""
    return load_bag(BagPairsConfig(path, **settings), tmp_path / 'cache')


def counts(data, kind):
    """What became of the messages of a camera, without zeros."""
    found = data.report.messages[kind]
    assert set(found) == set(REASONS)
    return {name: count for name, count in found.items() if count}
