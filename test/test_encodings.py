# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
from collections import Counter
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.color_encodings import YUV_ENCODINGS, rgb_from_sensor
from kd_perception.encodings import (
    COLOR_ENCODINGS,
    MAX_COMPRESSED_PIXELS,
    SENSOR_ENCODINGS,
    THERMAL_ENCODINGS,
    buffer_from_image,
    frame_from_message,
    image_from_buffer,
    image_from_compressed,
)
from kd_perception.errors import ImageEncodingError

KINDS = {
    'mono8': (np.uint8, 1),
    '8UC1': (np.uint8, 1),
    'mono16': (np.uint16, 1),
    '16UC1': (np.uint16, 1),
    '32FC1': (np.float32, 1),
    'rgb8': (np.uint8, 3),
    'bgra8': (np.uint8, 4),
    'bayer_grbg8': (np.uint8, 1),
    'bayer_bggr16': (np.uint16, 1),
    'uyvy': (np.uint8, 2),
}
FUZZED_ENCODINGS = [
    *(*THERMAL_ENCODINGS, *COLOR_ENCODINGS, *SENSOR_ENCODINGS),
    *('nv21', 'bayer_', '16UC2', '', '\x00', 'é', 'x' * 1000),
]


@st.composite
def images(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    encoding = draw(st.sampled_from(sorted(KINDS)))
    dtype, channels = KINDS[encoding]
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    if channels > 1:
        shape = (*shape, channels)
    return encoding, draw(hnp.arrays(dtype, shape))


@given(images(), st.booleans(), st.integers(0, 7))
def test_every_encoding_padding_and_byte_order_is_read_back(
    sample: tuple[str, np.ndarray], is_bigendian: bool, padding: int
) -> None:
    encoding, image = sample
    stored = image.astype(image.dtype.newbyteorder('>' if is_bigendian else '<'))
    rows = stored.reshape(len(image), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    read = image_from_buffer(
        array.array('B', padded.tobytes()),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=padded.shape[1],
    )
    assert read.dtype == image.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, image)


@given(images())
def test_written_buffer_is_read_back(sample: tuple[str, np.ndarray]) -> None:
    encoding, image = sample
    if KINDS[encoding][1] in (2, 4):
        with pytest.raises(ImageEncodingError, match='three'):
            buffer_from_image(image)
        return
    data, written_encoding, step = buffer_from_image(image)
    read = image_from_buffer(
        data,
        height=image.shape[0],
        width=image.shape[1],
        encoding=written_encoding,
        is_bigendian=False,
        step=step,
    )
    np.testing.assert_array_equal(read, image)


@given(
    length=st.integers(0, 200),
    height=st.integers(0, 12),
    width=st.integers(0, 12),
    step=st.integers(0, 60),
    encoding=st.sampled_from([*KINDS, 'nv21', '', 'bayer_rgbg8']),
)
def test_inconsistent_headers_are_refused(
    length: int, height: int, width: int, step: int, encoding: str
) -> None:
    dtype, channels = KINDS.get(encoding, (np.uint8, 0))
    row = width * channels * np.dtype(dtype).itemsize
    legal = channels and height and width and step >= row and length == step * height
    layout = {'encoding': encoding, 'is_bigendian': False, 'step': step}
    read = {'height': height, 'width': width, **layout}
    if legal:
        assert image_from_buffer(bytes(length), **read).shape[:2] == (height, width)
    else:
        with pytest.raises(ImageEncodingError):
            image_from_buffer(bytes(length), **read)


@pytest.mark.parametrize('encoding', ['mono16', 'bayer_rggb8', 'yuyv'])
def test_huge_header_is_refused_before_anything_is_allocated(encoding: str) -> None:
    with pytest.raises(ImageEncodingError, match='at most'):
        image_from_buffer(
            b'', height=2**31, width=2**31, encoding=encoding, is_bigendian=False, step=2**32
        )


def test_float_view_is_not_copied() -> None:
    data = array.array('B', bytes(4 * 6))
    image = image_from_buffer(
        data, height=2, width=3, encoding='32FC1', is_bigendian=False, step=12
    )
    data[0:4] = array.array('B', np.float32(1.5).tobytes())
    assert image[0, 0] == 1.5


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_png_keeps_every_bit(dtype: type) -> None:
    image = np.arange(24, dtype=dtype).reshape(4, 6) * (2000 if dtype == np.uint16 else 9)
    decoded, encoding = image_from_compressed(cv2.imencode('.png', image)[1].tobytes())
    assert encoding == ('mono16' if dtype == np.uint16 else 'mono8')
    np.testing.assert_array_equal(decoded, image)


def test_color_png_is_rgb() -> None:
    bgr = np.zeros((3, 5, 3), np.uint8)
    bgr[..., 2] = 200
    decoded, encoding = image_from_compressed(cv2.imencode('.png', bgr)[1].tobytes())
    assert encoding == 'rgb8'
    assert decoded[0, 0].tolist() == [200, 0, 0]


def test_jpeg_is_decoded() -> None:
    image = np.full((40, 50), 120, np.uint8)
    decoded, encoding = image_from_compressed(cv2.imencode('.jpg', image)[1].tobytes())
    assert (encoding, decoded.shape) == ('mono8', (40, 50))
    assert abs(int(decoded.mean()) - 120) <= 2


def test_png_bomb_is_refused_by_its_header() -> None:
    data = bytearray(cv2.imencode('.png', np.zeros((4, 4), np.uint8))[1].tobytes())
    data[16:24] = (60000).to_bytes(4, 'big') * 2
    assert MAX_COMPRESSED_PIXELS < 60000 * 60000
    with pytest.raises(ImageEncodingError, match='60000x60000'):
        image_from_compressed(bytes(data))


@given(st.binary(max_size=300), st.sampled_from([b'', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff\xc0']))
def test_damaged_files_are_refused(tail: bytes, head: bytes) -> None:
    try:
        image, _ = image_from_compressed(head + tail, format='png')
    except ImageEncodingError:
        return
    assert image.size > 0


@given(st.integers(20, 400))
def test_truncated_png_is_refused_or_decoded_whole(cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 65535, (32, 32)).astype(np.uint16)
    data = cv2.imencode('.png', noise)[1].tobytes()
    try:
        image, _ = image_from_compressed(data[: len(data) - cut])
    except ImageEncodingError:
        return
    np.testing.assert_array_equal(image, noise)


def message_of(data: bytes, **fields: Any) -> SimpleNamespace:
    """A sensor_msgs/Image of 2x1 mono8 pixels, but for the fields that are given."""
    stamp = SimpleNamespace(sec=fields.pop('sec', 0), nanosec=fields.pop('nanosec', 0))
    header = SimpleNamespace(stamp=stamp, frame_id='optical')
    pixels = {'height': 1, 'width': 2, 'encoding': 'mono8', 'is_bigendian': 0, 'step': 2}
    return SimpleNamespace(header=header, data=data, **(pixels | fields))


@pytest.mark.parametrize(('sec', 'nanosec'), [(1, 10**9), (2**31 - 1, 2**32 - 1)])
def test_impossible_stamps_are_refused(sec: int, nanosec: int) -> None:
    with pytest.raises(ImageEncodingError, match='stamp'):
        frame_from_message(message_of(b'\1\2', sec=sec, nanosec=nanosec))


def test_frame_takes_stamp_and_frame_id_from_the_header() -> None:
    frame = frame_from_message(message_of(b'\1\2', sec=3, nanosec=5))
    assert (frame.stamp_ns, frame.frame_id, frame.encoding) == (3_000_000_005, 'optical', 'mono8')
    assert frame.image.tolist() == [[1, 2]]


@pytest.mark.parametrize('encoding', SENSOR_ENCODINGS)
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_color_of_sensors_becomes_rgb(encoding: str, is_bigendian: bool) -> None:
    channels = (2,) if encoding in YUV_ENCODINGS else ()
    kind = np.uint16 if encoding.endswith('16') else np.uint8
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (6, 8, *channels), kind)
    stored = pixels.astype(pixels.dtype.newbyteorder('>' if is_bigendian else '<'))
    rows = np.pad(stored.reshape(6, -1).view(np.uint8), ((0, 0), (0, 5)), constant_values=171)
    fields = {'height': 6, 'width': 8, 'encoding': encoding, 'is_bigendian': is_bigendian}
    frame = frame_from_message(message_of(rows.tobytes(), step=rows.shape[1], **fields))
    assert (frame.encoding, frame.frame_id) == ('rgb8', 'optical')
    np.testing.assert_array_equal(frame.image, rgb_from_sensor(pixels, encoding))
    for data, step, reason in (
        (rows.tobytes()[:-1], rows.shape[1], 'data must have'),
        (bytes(6), 1, 'step must be at least'),
    ):
        with pytest.raises(ImageEncodingError, match=reason):
            frame_from_message(message_of(data, step=step, **fields))


def random_message(generator: np.random.Generator) -> SimpleNamespace:
    """A message whose fields are as ROS allows; about half of them agree with one another."""

    def number(limit: int) -> int:
        return int(generator.integers(0, 2**32 if generator.random() < 0.05 else limit))

    encoding = str(generator.choice(FUZZED_ENCODINGS))
    height, width = number(40), number(40)
    samples = 2 if '16' in encoding or encoding in YUV_ENCODINGS else 4
    tight = generator.random() < 0.6
    step = width * samples + number(9) if tight else number(200)
    spoiled = int(generator.choice([0, 0, 0, 0, -1, 5]))
    return message_of(
        generator.bytes(max(step * height + spoiled, 0) if step * height < 10**5 else 7),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(generator.integers(0, 256)),
        step=step,
        sec=int(generator.integers(-(2**31), 2**31)),
        nanosec=number(10**9),
    )


def test_ten_thousand_fuzzed_headers_give_an_image_or_a_reason() -> None:
    generator = np.random.default_rng(7)
    good, read, reasons = message_of(b'\1\2'), Counter(), Counter()
    for _ in range(10_000):
        message = random_message(generator)
        try:
            frame = frame_from_message(message)
        except ImageEncodingError as error:
            assert len(str(error)) < 400
            reasons[' '.join(str(error).split()[:3])] += 1
            assert frame_from_message(good).image.tolist() == [[1, 2]]
            continue
        read[message.encoding] += 1
        assert frame.image.shape[:2] == (message.height, message.width)
        assert frame.encoding in (*THERMAL_ENCODINGS, *COLOR_ENCODINGS)
        assert frame.image.ndim == (3 if frame.encoding in COLOR_ENCODINGS else 2)
        assert frame.image.dtype.isnative
        assert frame.frame_id == 'optical'
    assert set(read) == {*THERMAL_ENCODINGS, *COLOR_ENCODINGS, *SENSOR_ENCODINGS}
    assert read.total() > 2000 and reasons.total() > 2000
    assert {
        *('the encoding must', 'a stamp must', 'an image must', 'an image may'),
        *('step must be', 'data must have', 'a Bayer pattern', 'a uyvy image'),
    } <= set(reasons)
