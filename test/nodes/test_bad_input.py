# SPDX-License-Identifier: Apache-2.0
"""Group 1: whatever comes in, the node lives, tells, counts, and answers the next good frame."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp
from live_client import ERROR, OK, WARN, Client

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Iterator[Any]:
    node = start_node({'queue_policy': 'every', 'radiometry.preset': 'lepton_10mk',
                       'latency_budget_ms': 5000.0, 'ffc.source': 'none'})  # fmt: skip
    client.wait_for_input()
    client.listen('mask', 'confidence', 'uncertainty', 'frame_status')
    yield node
    assert node.alive


def with_data(message: Any, data: bytes) -> Any:
    message.data = array.array('B', data)
    return message


def _short(stamp: int) -> Any:
    message = image(ramp(), stamp)
    return with_data(message, message.data.tobytes()[:-7])


def _long(stamp: int) -> Any:
    message = image(ramp(), stamp)
    return with_data(message, message.data.tobytes() + b'1234')


UNUSABLE = {
    'short data': (_short, 'data must have'),
    'long data': (_long, 'data must have'),
    'no data': (lambda s: with_data(image(ramp(), s), b''), 'data must have'),
    'step too small': (lambda s: image(ramp(), s, step=100), 'step must be'),
    'step zero': (lambda s: image(ramp(), s, step=0), 'step must be'),
    'zero size': (lambda s: with_data(image(ramp(), s, width=0, height=0, step=0), b''), 'pixels'),
    'zero height': (lambda s: with_data(image(ramp(), s, height=0), b''), 'must have pixels'),
    'unknown encoding': (lambda s: image(ramp(), s, encoding='yuv422'), 'encoding'),
    'empty encoding': (lambda s: image(ramp(), s, encoding='x')  , 'encoding'),
    'huge size': (lambda s: image(ramp(), s, width=2**31, height=2**31, step=2**32 - 1), ''),
    'color': (
        lambda s: with_data(image(ramp(), s, encoding='rgb8', step=384), bytes(384 * 96)),
        'thermal',
    ),
    'thin line': (lambda s: image(ramp(size=(1, 30000)), s), 'sides'),
    'all NaN': (lambda s: image(np.full((96, 128), np.nan, np.float32), s), 'finite'),
    'all infinite': (lambda s: image(np.full((96, 128), np.inf, np.float32), s), 'finite'),
}  # fmt: skip


def failed_total(client: Client, header: Any) -> int:
    status = client.output_for(header, 'frame_status').status[0]
    return int({value.key: value.value for value in status.values}['failed_total'])


@pytest.mark.parametrize('name', UNUSABLE)
def test_unusable_image_is_counted_and_survived(ready: Any, client: Client, name: str) -> None:
    make, _ = UNUSABLE[name]
    good, next_good = (image(ramp(), client.now_ns() + offset) for offset in (0, 2000))
    bad = make(client.now_ns() + 1000)
    client.answer(good)
    client.images.publish(bad)
    answer = client.answer(next_good)
    assert np.unique(pixels_of(answer)).tolist() == list(range(9))
    assert not any(m.header == bad.header for m in client.received['mask'])
    assert failed_total(client, next_good.header) == failed_total(client, good.header) + 1
    assert ready.alive


@pytest.mark.parametrize('name', ['short data', 'unknown encoding', 'thin line', 'color'])
def test_unusable_image_is_told_in_diagnostics(ready: Any, client: Client, name: str) -> None:
    make, reason = UNUSABLE[name]
    client.images.publish(make(client.now_ns()))
    client.diagnosed('input', ERROR, reason)


def _noisy(seed: int = 0) -> np.ndarray:
    return ramp(seed)


def _float_with_holes() -> np.ndarray:
    pixels = ramp().astype(np.float32)
    pixels[::7, ::5] = np.nan
    pixels[3] = np.inf
    pixels[9] = -np.inf
    return pixels


USABLE = {
    'padded step': lambda s: _padded(s),
    'big-endian': lambda s: with_data(
        image(ramp(), s, is_bigendian=1), ramp().astype('>u2').tobytes()
    ),
    '16UC1': lambda s: image(ramp(), s, encoding='16UC1'),
    'NaN and Inf': lambda s: image(_float_with_holes(), s),
    'flat': lambda s: image(np.full((96, 128), 29999, np.uint16), s),
    'black': lambda s: image(np.zeros((96, 128), np.uint16), s),
    'saturated': lambda s: image(np.full((96, 128), 65535, np.uint16), s),
    'mono8': lambda s: image((ramp() >> 4).astype(np.uint8), s),
    '8UC1': lambda s: image((ramp() >> 4).astype(np.uint8), s, encoding='8UC1'),
    'one pixel': lambda s: image(np.full((1, 1), 30000, np.uint16), s),
    'portrait': lambda s: image(ramp(size=(130, 51)), s),
    'larger': lambda s: image(ramp(size=(480, 640)), s),
    'smaller': lambda s: image(ramp(size=(24, 32)), s),
}  # fmt: skip


def _padded(stamp: int) -> Any:
    rows = ramp().view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, 11)), constant_values=0xFF)
    return with_data(image(ramp(), stamp, step=padded.shape[1]), padded.tobytes())


@pytest.mark.parametrize('name', USABLE)
def test_unusual_image_is_answered_at_its_size(ready: Any, client: Client, name: str) -> None:
    message = USABLE[name](client.now_ns())
    mask = client.answer(message)
    assert (mask.height, mask.width, mask.encoding) == (message.height, message.width, 'mono8')
    uncertainty = pixels_of(client.output_for(message.header, 'uncertainty'))
    assert np.isfinite(uncertainty).all()
    assert 0.0 <= uncertainty.min() <= uncertainty.max() <= 1.0


def test_byte_order_and_padding_do_not_change_the_mask(ready: Any, client: Client) -> None:
    """Each case starts the gain control anew by a jump back in time, so only pixels matter."""
    masks = []
    for name, make in {'plain': lambda s: image(ramp(), s), **USABLE}.items():
        if name in ('plain', 'padded step', 'big-endian', '16UC1'):
            client.answer(image(ramp(), client.now_ns()))
            client.trigger('reset')
            masks.append(pixels_of(client.answer(make(client.now_ns()))))
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


def test_saturated_share_is_a_warning(ready: Any, client: Client) -> None:
    client.answer(image(np.full((96, 128), 65535, np.uint16), client.now_ns()))
    client.diagnosed('thermal', WARN, 'saturated')
    client.answer(image(ramp(), client.now_ns()))
    client.diagnosed('thermal', OK, 'deg C')


def test_encoding_and_size_may_change_with_every_frame(ready: Any, client: Client) -> None:
    published = int(client.counts()['published'])
    makers = [USABLE[name] for name in ('mono8', 'larger', 'NaN and Inf', 'smaller', '16UC1')]
    sent = [make(client.now_ns()) for _ in range(4) for make in makers]
    for message in sent:
        client.images.publish(message)
    for message in sent:
        mask = client.output_for(message.header)
        assert (mask.height, mask.width) == (message.height, message.width)
    assert client.counts()['published'] == published + len(sent)


def test_fuzzed_headers_and_fields(ready: Any, client: Client) -> None:
    """300 images with random fields; what the account says must add up at the end."""
    generator = np.random.default_rng(7)
    before = client.counts()
    encodings = ['mono8', 'mono16', '32FC1', '16UC1', 'rgb8', 'bayer_rggb8', 'yuv422', '\x00', 'é']
    for number in range(300):
        height, width = (int(v) for v in generator.integers(0, 40, 2))
        message = image(ramp(size=(4, 4)), int(generator.integers(0, 2**61)))
        message.encoding = str(generator.choice(encodings))
        message.height, message.width = height, width
        message.step = int(generator.integers(0, 200))
        message.is_bigendian = int(generator.integers(0, 256))
        size = message.step * height + int(generator.choice([0, 0, 0, -1, 5]))
        message.data = array.array('B', generator.bytes(max(size, 0)))
        message.header.frame_id = 'f' * int(generator.integers(0, 100))
        client.images.publish(message)
        if number % 100 == 99:  # fewer at a time than the middleware keeps
            client.wait_for_count('received', before['received'] + number + 1)
    after = client.counts()
    assert after['received'] == before['received'] + 300
    assert after['pending'] == 0
    assert after['received'] == after['published'] + after['dropped'] + after['failed']
    assert after['failed'] > before['failed']
    client.answer(image(ramp(), client.now_ns()))
    assert 'unexpectedly' not in ready.output
    assert client.status('model')['unexpected_errors'] == '0'
