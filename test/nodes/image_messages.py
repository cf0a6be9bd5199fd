# SPDX-License-Identifier: Apache-2.0
"""Image messages made from arrays and read back as arrays, for the tests of the node."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from sensor_msgs.msg import Image


def image(
    pixels: np.ndarray,
    stamp_ns: int,
    *,
    encoding: str = '',
    frame_id: str = 'thermal_optical',
    **changes: Any,
) -> Image:
    """Make an image message from an array; `changes` then spoil or adapt single fields."""
    default = {'uint8': 'mono8', 'uint16': 'mono16', 'float32': '32FC1'}[pixels.dtype.name]
    default = 'rgb8' if pixels.ndim == 3 else default
    little = pixels.astype(pixels.dtype.newbyteorder('<'))
    message = Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding or default,
        step=pixels.strides[0] if pixels.flags.c_contiguous else pixels[0].nbytes,
    )
    message.data = array.array('B', little.tobytes())
    stamp(message, stamp_ns)
    message.header.frame_id = frame_id
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def stamp(message: Any, stamp_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


def pixels_of(message: Image) -> np.ndarray:
    """Return the array of a mono8 or 32FC1 output."""
    kind = {'mono8': np.uint8, '32FC1': np.float32, 'rgb8': np.uint8}[message.encoding]
    shape = (message.height, message.width) + ((3,) if message.encoding == 'rgb8' else ())
    return np.frombuffer(message.data, kind).reshape(shape)


def ramp(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A 16-bit scene with a left-to-right ramp, so that masks of the tiny student show all ids."""
    columns = np.linspace(29000, 31000, size[1])[None, :]
    noise = np.random.default_rng(seed).integers(0, 60, size)
    return (columns + noise).astype(np.uint16)
