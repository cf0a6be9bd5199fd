# SPDX-License-Identifier: Apache-2.0
"""Image buffers to arrays and back: the only place that knows what an encoding means in bytes.

The buffers are those of sensor_msgs/Image and sensor_msgs/CompressedImage. Nothing here needs ROS:
the node hands in its rclpy messages and the bag reader its own, both have the same fields.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.color_encodings import BAYER_ENCODINGS, YUV_ENCODINGS, rgb_from_sensor
from kd_perception.errors import ImageEncodingError
from kd_perception.frames import ByteImage, Frame, Image

MAX_IMAGE_BYTES = 64 * 2**20
"""Largest image buffer that is accepted, raw or decoded (an 8K mono16 image has 63 MiB).

RGB of a Bayer pattern of that size has three times as many bytes.
"""

MAX_COMPRESSED_PIXELS = MAX_IMAGE_BYTES // 4
"""Largest compressed image that is decoded, in pixels, read from its header beforehand."""

_LAYOUTS: dict[str, tuple[str, int]] = {
    'mono8': ('u1', 1),
    '8UC1': ('u1', 1),
    'mono16': ('u2', 1),
    '16UC1': ('u2', 1),
    '32FC1': ('f4', 1),
    'rgb8': ('u1', 3),
    'bgr8': ('u1', 3),
    '8UC3': ('u1', 3),
    'rgba8': ('u1', 4),
    'bgra8': ('u1', 4),
    **{encoding: ('u2' if encoding.endswith('16') else 'u1', 1) for encoding in BAYER_ENCODINGS},
    **dict.fromkeys(YUV_ENCODINGS, ('u1', 2)),
}
_ENCODINGS = {('u1', 1): 'mono8', ('u2', 1): 'mono16', ('f4', 1): '32FC1', ('u1', 3): 'rgb8'}

THERMAL_ENCODINGS = ('mono8', '8UC1', 'mono16', '16UC1', '32FC1')
COLOR_ENCODINGS = ('rgb8', 'bgr8', '8UC3', 'rgba8', 'bgra8')
SENSOR_ENCODINGS = (*BAYER_ENCODINGS, *YUV_ENCODINGS)
"""Of color as sensors give it; a frame has it as ``rgb8``."""


def image_from_buffer(
    data: Any, *, height: int, width: int, encoding: str, is_bigendian: bool, step: int
) -> Image:
    """View the buffer of a sensor_msgs/Image as an array.

    Args:
        data: Any object with the buffer protocol (``array.array``, bytes, NumPy uint8 array).
        height: Rows, at least 1.
        width: Columns, at least 1.
        encoding: One of :data:`THERMAL_ENCODINGS`, :data:`COLOR_ENCODINGS` or
            :data:`SENSOR_ENCODINGS`.
        is_bigendian: Byte order of the samples.
        step: Bytes per row including padding, at least ``width`` times the pixel size.

    Returns:
        HxW or HxWxC array in native byte order; YUV has two channels. It shares memory with
        ``data`` where the byte order allows.

    Raises:
        ImageEncodingError: The encoding is unknown, the size is zero or too large, ``step`` is
            shorter than a row, or the buffer is shorter or longer than ``step * height``.
    """
    if encoding not in _LAYOUTS:
        raise ImageEncodingError(
            f'the encoding must be one of {", ".join(_LAYOUTS)}; received {encoding[:40]!r}'
        )
    kind, channels = _LAYOUTS[encoding]
    dtype = np.dtype(('>' if is_bigendian else '<') + kind)
    row_bytes = width * channels * dtype.itemsize
    buffer = memoryview(data).cast('B')
    _check_buffer_size(len(buffer), height, width, step, row_bytes)
    rows = np.frombuffer(buffer, np.uint8).reshape(height, step)[:, :row_bytes]
    if step % dtype.itemsize:
        rows = np.ascontiguousarray(rows)
    samples = rows.view(dtype).astype(dtype.newbyteorder('='), copy=False)
    return samples if channels == 1 else samples.reshape(height, width, channels)


def _check_buffer_size(length: int, height: int, width: int, step: int, row_bytes: int) -> None:
    """Compare the length of an image buffer with what its header says.

    Args:
        length: Bytes that there are.
        height: Rows.
        width: Columns.
        step: Bytes per row, padding included.
        row_bytes: Bytes per row that hold pixels.

    Raises:
        ImageEncodingError: Zero size, a step shorter than the pixels, too large, or another
            length.
    """
    if height < 1 or width < 1:
        raise ImageEncodingError(f'an image must have pixels; received {width}x{height}')
    if step < row_bytes:
        raise ImageEncodingError(
            f'step must be at least the {row_bytes} bytes of a row; received {step}'
        )
    if step * height > MAX_IMAGE_BYTES:
        raise ImageEncodingError(
            f'an image may have {MAX_IMAGE_BYTES} bytes at most; received {step * height}'
        )
    if length != step * height:
        raise ImageEncodingError(
            f'data must have step * height = {step * height} bytes; received {length}'
        )


def image_from_compressed(data: Any, *, format: str = '') -> tuple[Image, str]:
    """Decode the buffer of a sensor_msgs/CompressedImage (PNG of 8 or 16 bit, JPEG of 8 bit).

    Args:
        data: The compressed file, any object with the buffer protocol.
        format: The message's ``format``; only quoted in errors, the bytes tell what they are.

    Returns:
        The image (color as RGB) and its sensor_msgs encoding.

    Raises:
        ImageEncodingError: Neither PNG nor JPEG, damaged, or of more than
            :data:`MAX_COMPRESSED_PIXELS` (checked before decoding).
    """
    buffer = np.frombuffer(memoryview(data).cast('B'), np.uint8)
    width, height = _compressed_size(buffer.data)
    if not 1 <= width * height <= MAX_COMPRESSED_PIXELS:
        raise ImageEncodingError(
            f'a compressed image must have 1 to {MAX_COMPRESSED_PIXELS} pixels; received '
            f'{width}x{height} ({format[:40]!r})'
        )
    image = _decode(buffer, format)
    if image.ndim == 2:
        return image, 'mono16' if image.dtype == np.uint16 else 'mono8'
    if image.dtype != np.uint8 or image.shape[2] not in (3, 4):
        raise ImageEncodingError(
            f'a compressed image must be gray of 8 or 16 bit or color of 8 bit; received '
            f'{image.shape[2]} channels of {image.dtype}'
        )
    code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGB
    return cv2.cvtColor(image, code), 'rgb8'


def _decode(buffer: ByteImage, format: str) -> Image:
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageEncodingError(f'the compressed image is damaged: {error}') from error
    if image is None:
        raise ImageEncodingError(
            f'the compressed image is damaged or of an unknown kind; received {buffer.size} bytes '
            f'of format {format[:40]!r}'
        )
    return image


def _compressed_size(buffer: memoryview) -> tuple[int, int]:
    """Read (width, height) from a PNG or JPEG header without decoding any pixel."""
    data = bytes(buffer[:24])
    if data.startswith(b'\x89PNG\r\n\x1a\n') and len(data) == 24:
        width, height = struct.unpack('>II', data[16:24])
        return width, height
    if data.startswith(b'\xff\xd8'):
        return _jpeg_size(buffer)
    raise ImageEncodingError('a compressed image must be PNG or JPEG; received neither')


def _jpeg_size(buffer: memoryview) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(buffer):
        if buffer[position] != 0xFF:
            break
        marker = buffer[position + 1]
        if marker == 0xFF:  # fill byte before a marker
            position += 1
            continue
        length = struct.unpack('>H', buffer[position + 2 : position + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack('>HH', buffer[position + 5 : position + 9])
            return width, height
        position += 2 + max(length, 2)
    raise ImageEncodingError('the compressed image is damaged: a JPEG without a size')


def frame_from_message(message: Any) -> Frame:
    """Read a sensor_msgs/Image or sensor_msgs/CompressedImage, of rclpy or of the bag reader.

    Args:
        message: An object with the fields of one of the two messages.

    Returns:
        The frame, with the header's stamp in nanoseconds. Bayer patterns and YUV have become
        ``rgb8``.

    Raises:
        ImageEncodingError: As :func:`image_from_buffer`, :func:`rgb_from_sensor` and
            :func:`image_from_compressed`, or a stamp that is none.
    """
    stamp = message.header.stamp
    if not 0 <= stamp.nanosec < 10**9:
        raise ImageEncodingError(
            f'a stamp must have nanoseconds below 10^9; received {stamp.nanosec}'
        )
    stamp_ns = int(stamp.sec) * 10**9 + int(stamp.nanosec)
    if hasattr(message, 'format'):
        image, encoding = image_from_compressed(message.data, format=message.format)
    else:
        encoding = message.encoding
        image = image_from_buffer(
            message.data,
            height=message.height,
            width=message.width,
            encoding=encoding,
            is_bigendian=bool(message.is_bigendian),
            step=message.step,
        )
        if encoding in SENSOR_ENCODINGS:
            image, encoding = rgb_from_sensor(image, encoding), 'rgb8'
    return Frame(image, encoding, stamp_ns, message.header.frame_id)


def buffer_from_image(image: npt.NDArray[Any]) -> tuple[memoryview, str, int]:
    """Give the bytes of an image for a little-endian sensor_msgs/Image without row padding.

    Args:
        image: HxW uint8, uint16 or float32, or HxWx3 uint8 (RGB).

    Returns:
        The bytes, the encoding (``mono8``, ``mono16``, ``32FC1`` or ``rgb8``) and the step.

    Raises:
        ImageEncodingError: Another type or number of channels.
    """
    channels = 1 if image.ndim == 2 else image.shape[-1]
    encoding = _ENCODINGS.get((image.dtype.str[1:], channels))
    if encoding is None or image.ndim not in (2, 3):
        raise ImageEncodingError(
            f'an output image must be uint8, uint16 or float32 with one channel or uint8 with '
            f'three; received {image.dtype} of shape {image.shape}'
        )
    little = np.ascontiguousarray(image, image.dtype.newbyteorder('<'))
    step = little.shape[1] * channels * little.dtype.itemsize
    return little.data.cast('B'), encoding, step
