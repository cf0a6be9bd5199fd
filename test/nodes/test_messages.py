# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

sensor_msgs = pytest.importorskip('sensor_msgs.msg')

from kd_perception.encodings import frame_from_message
from kd_perception.errors import ImageEncodingError
from kd_perception.nodes.messages import (
    diagnostic_status,
    image_message,
    label_info_message,
)

KINDS = {
    'mono8': ('u1', 1), '8UC1': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1),
    '32FC1': ('f4', 1), 'rgb8': ('u1', 3), 'bgr8': ('u1', 3), 'rgba8': ('u1', 4),
}  # fmt: skip
SIDES = st.integers(1, 17)


def header(sec: int = 12, nanosec: int = 345) -> Any:
    made = sensor_msgs.Image().header
    made.stamp.sec, made.stamp.nanosec, made.frame_id = sec, nanosec, 'thermal_optical'
    return made


@st.composite
def padded_messages(draw: st.DrawFn) -> tuple[Any, np.ndarray]:
    encoding = draw(st.sampled_from(sorted(KINDS)))
    kind, channels = KINDS[encoding]
    big = draw(st.booleans())
    height, width = draw(SIDES), draw(SIDES)
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = draw(hnp.arrays(np.dtype(kind), shape))
    rows = pixels.astype(np.dtype(kind).newbyteorder('>' if big else '<'))
    rows = np.frombuffer(rows.tobytes(), np.uint8).reshape(height, -1)
    padding = draw(st.integers(0, 9))
    filled = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    message = sensor_msgs.Image(
        height=height, width=width, encoding=encoding, is_bigendian=big, step=filled.shape[1]
    )
    message.header = header()
    message.data = array.array('B', filled.tobytes())
    return message, pixels


@given(padded_messages())
def test_every_encoding_padding_and_byte_order_is_read(case: tuple[Any, np.ndarray]) -> None:
    message, pixels = case
    frame = frame_from_message(message)
    assert frame.image.dtype.isnative
    assert frame.encoding == message.encoding
    assert frame.stamp_ns == 12 * 10**9 + 345
    assert frame.frame_id == 'thermal_optical'
    np.testing.assert_array_equal(frame.image, pixels)


@given(padded_messages(), st.integers(-40, 40).filter(bool))
def test_a_buffer_of_another_length_is_refused(case: tuple[Any, np.ndarray], change: int) -> None:
    message, _ = case
    data = message.data.tobytes()
    wrong = data[:change] if change < 0 else data + bytes(change)
    message.data = array.array('B', wrong)
    with pytest.raises(ImageEncodingError, match='data must have'):
        frame_from_message(message)


@given(padded_messages(), st.integers(1, 8))
def test_a_step_shorter_than_a_row_is_refused(case: tuple[Any, np.ndarray], less: int) -> None:
    message, pixels = case
    message.step = max(pixels[0].nbytes - less, 0)
    message.data = array.array('B', bytes(message.step * message.height))
    with pytest.raises(ImageEncodingError, match='step'):
        frame_from_message(message)


@given(st.sampled_from(['u1', 'u2', 'f4', 'rgb']), SIDES, SIDES, st.randoms(use_true_random=False))
def test_output_messages_read_back_the_same(kind: str, height: int, width: int, rnd: Any) -> None:
    generator = np.random.default_rng(rnd.randrange(2**32))
    shape = (height, width, 3) if kind == 'rgb' else (height, width)
    dtype = np.dtype('u1' if kind == 'rgb' else kind)
    pixels = generator.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]
    message = image_message(header(), pixels)
    assert len(message.data) == message.step * message.height
    assert isinstance(message.data, array.array)
    assert message.is_bigendian == 0
    np.testing.assert_array_equal(frame_from_message(message).image, pixels)


def test_a_view_that_is_not_contiguous_is_sent_whole() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)[::2, ::-1]
    message = image_message(header(), pixels)
    np.testing.assert_array_equal(frame_from_message(message).image, pixels)


def test_the_header_is_the_input_s_own() -> None:
    given_header = header(-3, 999_999_999)
    message = image_message(given_header, np.zeros((2, 2), np.uint8))
    assert message.header == given_header


def test_label_info_names_each_class(tiny_student_spec: Any) -> None:
    messages = SimpleNamespace(LabelInfo=SimpleNamespace, VisionClass=SimpleNamespace)
    student = SimpleNamespace(spec=tiny_student_spec)
    message = label_info_message(messages, header(), student, 0.25)
    assert message.threshold == 0.25
    assert [(c.class_id, c.class_name) for c in message.class_map][:3] == [
        (0, 'unlabeled'), (1, 'car'), (2, 'person'),
    ]  # fmt: skip


def test_diagnostic_values_are_text() -> None:
    status = diagnostic_status('/a/b: input', b'\x01', 'words', {'f': 1.23456, 'i': 7, 'b': True})
    assert [(v.key, v.value) for v in status.values] == [
        ('f', '1.23456'), ('i', '7'), ('b', 'True'),
    ]  # fmt: skip
    assert status.hardware_id == '/a/b'
