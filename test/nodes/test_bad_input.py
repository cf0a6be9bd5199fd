# SPDX-License-Identifier: Apache-2.0
"""Group 1: whatever comes in, each node lives, tells, counts, and answers the next good frame."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp
from live_client import ERROR, OK, WARN, Client
from node_kinds import NODE_KINDS, Make, NodeKind, check_sureness, with_data

pytestmark = pytest.mark.ros


@dataclass
class Camera:
    """A live node, and a client that plays its camera."""

    kind: NodeKind
    live: Any
    client: Client

    def good(self, stamp: int, size: tuple[int, int] = (96, 128), **changes: Any) -> Any:
        return image(self.kind.scene(size=size), stamp, **changes)

    def flat(self, stamp: int, value: int) -> Any:
        return image(np.full_like(self.kind.scene(), value), stamp)

    def answer(self, message: Any) -> Any:
        return self.client.answer(message, self.kind.answer)

    def now_ns(self) -> int:
        return self.client.now_ns()


@pytest.fixture(scope='module', params=NODE_KINDS)
def camera(
    request: pytest.FixtureRequest, start_node: Callable[..., Any], ros_context: object
) -> Iterator[Camera]:
    kind = NODE_KINDS[request.param]
    parameters = {
        'model.path': request.getfixturevalue(kind.student),
        'queue_policy': 'every',
        'latency_budget_ms': 5000.0,
        **kind.parameters,
    }
    live = start_node(parameters, command=('-m', kind.module), remappings={'__node': kind.name})
    client = Client(f'client_of_{kind.name}', target=kind.node)
    client.wait_for_input()
    client.listen(kind.answer, kind.sureness, 'frame_status')
    yield Camera(kind, live, client)
    assert live.alive
    client.close()
    assert live.end() == 0, live.output
    assert 'Traceback' not in live.output, live.output


def _changed_data(camera: Camera, stamp: int, change: Callable[[bytes], bytes]) -> Any:
    message = camera.good(stamp)
    return with_data(message, change(message.data.tobytes()))


SHARED_UNUSABLE: dict[str, tuple[Callable[[Camera, int], Any], str]] = {
    'short data': (lambda c, s: _changed_data(c, s, lambda data: data[:-7]), 'data must have'),
    'long data': (lambda c, s: _changed_data(c, s, lambda data: data + b'1234'), 'data must have'),
    'no data': (lambda c, s: with_data(c.good(s), b''), 'data must have'),
    'step too small': (lambda c, s: c.good(s, step=100), 'step must be'),
    'step zero': (lambda c, s: c.good(s, step=0), 'step must be'),
    'zero size': (lambda c, s: with_data(c.good(s, width=0, height=0, step=0), b''), 'pixels'),
    'zero height': (lambda c, s: with_data(c.good(s, height=0), b''), 'must have pixels'),
    'unknown encoding': (lambda c, s: c.good(s, encoding='nv21'), 'encoding'),
    'empty encoding': (lambda c, s: c.good(s, encoding='x'), 'encoding'),
    'huge size': (lambda c, s: c.good(s, width=2**31, height=2**31, step=2**32 - 1), ''),
    'thin line': (lambda c, s: c.good(s, size=(1, 30000)), 'sides'),
}
OWN_UNUSABLE = ('color', 'Bayer', 'odd YUV', 'all NaN', 'all infinite', '16 bit', 'float')


def _unusable(camera: Camera, name: str) -> tuple[Make, str]:
    if name in SHARED_UNUSABLE:
        make, reason = SHARED_UNUSABLE[name]
        return lambda stamp: make(camera, stamp), reason
    if name not in camera.kind.unusable:
        pytest.skip(f'{camera.kind.name} is for such images')
    return camera.kind.unusable[name]


def failed_total(client: Client, header: Any) -> int:
    status = client.output_for(header, 'frame_status').status[0]
    return int({value.key: value.value for value in status.values}['failed_total'])


@pytest.mark.parametrize('name', [*SHARED_UNUSABLE, *OWN_UNUSABLE])
def test_unusable_image_is_counted_and_survived(camera: Camera, name: str) -> None:
    make, _ = _unusable(camera, name)
    client = camera.client
    good, next_good = (camera.good(camera.now_ns() + offset) for offset in (0, 2000))
    bad = make(camera.now_ns() + 1000)
    camera.answer(good)
    client.images.publish(bad)
    answer = camera.answer(next_good)
    camera.kind.check(pixels_of(answer))
    assert not any(m.header == bad.header for m in client.received[camera.kind.answer])
    assert failed_total(client, next_good.header) == failed_total(client, good.header) + 1
    assert camera.live.alive


@pytest.mark.parametrize(
    'name', ['short data', 'unknown encoding', 'thin line', 'color', 'Bayer', 'odd YUV', '16 bit']
)
def test_unusable_image_is_told_in_diagnostics(camera: Camera, name: str) -> None:
    make, reason = _unusable(camera, name)
    camera.client.images.publish(make(camera.now_ns()))
    camera.client.diagnosed('input', ERROR, reason)


SHARED_USABLE: dict[str, Callable[[Camera, int], Any]] = {
    'padded step': lambda c, s: _padded(c, s),
    'flat': lambda c, s: c.flat(s, 29999 if c.kind.scene is ramp else 120),
    'black': lambda c, s: c.flat(s, 0),
    'saturated': lambda c, s: c.flat(s, 65535 if c.kind.scene is ramp else 255),
    'one pixel': lambda c, s: c.good(s, size=(1, 1)),
    'portrait': lambda c, s: c.good(s, size=(130, 51)),
    'larger': lambda c, s: c.good(s, size=(480, 640)),
    'smaller': lambda c, s: c.good(s, size=(24, 32)),
}
OWN_USABLE = (
    *('big-endian', '16UC1', 'NaN and Inf', 'mono8', '8UC1', 'bgr8', 'bgra8'),
    *('bayer_grbg8', 'uyvy'),
)


def _padded(camera: Camera, stamp: int) -> Any:
    message = camera.good(stamp)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, -1)
    padded = np.pad(rows, ((0, 0), (0, 11)), constant_values=0xFF)
    message.step = padded.shape[1]
    return with_data(message, padded.tobytes())


def _usable(camera: Camera, name: str) -> Make:
    if name in SHARED_USABLE:
        return lambda stamp: SHARED_USABLE[name](camera, stamp)
    if name not in camera.kind.usable:
        pytest.skip(f'{camera.kind.name} is not for such images')
    return camera.kind.usable[name]


@pytest.mark.parametrize('name', [*SHARED_USABLE, *OWN_USABLE])
def test_unusual_image_is_answered_at_its_size(camera: Camera, name: str) -> None:
    message = _usable(camera, name)(camera.now_ns())
    answer = camera.answer(message)
    found = (answer.height, answer.width, answer.encoding)
    assert found == (message.height, message.width, camera.kind.encoding)
    sureness = camera.client.output_for(message.header, camera.kind.sureness)
    check_sureness(camera.kind, answer, sureness)


def test_byte_order_and_padding_do_not_change_the_answer(camera: Camera) -> None:
    """Each case starts the gain control anew by a reset, so only pixels matter."""
    makers = [camera.good, lambda s: _padded(camera, s)]
    makers += [camera.kind.usable[n] for n in ('big-endian', '16UC1') if n in camera.kind.usable]
    answers = []
    for make in makers:
        camera.answer(camera.good(camera.now_ns()))
        camera.client.trigger('reset')
        answers.append(pixels_of(camera.answer(make(camera.now_ns()))))
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_saturated_share_is_a_warning(camera: Camera) -> None:
    if camera.kind.name != 'thermal_seg':
        pytest.skip('a color image may be white')
    camera.answer(SHARED_USABLE['saturated'](camera, camera.now_ns()))
    camera.client.diagnosed('thermal', WARN, 'saturated')
    camera.answer(camera.good(camera.now_ns()))
    camera.client.diagnosed('thermal', OK, 'deg C')


def test_encoding_and_size_may_change_with_every_frame(camera: Camera) -> None:
    client = camera.client
    published = int(client.counts()['published'])
    names = [
        n for n in ('mono8', 'NaN and Inf', '16UC1', 'bgr8', 'uyvy') if n in camera.kind.usable
    ]
    makers = [_usable(camera, name) for name in (*names, 'larger', 'smaller')]
    sent = [make(camera.now_ns()) for _ in range(4) for make in makers]
    for message in sent:
        client.images.publish(message)
    for message in sent:
        answer = client.output_for(message.header, camera.kind.answer)
        assert (answer.height, answer.width) == (message.height, message.width)
    assert client.counts()['published'] == published + len(sent)


def test_fuzzed_headers_and_fields(camera: Camera) -> None:
    """300 images with random fields (test_encodings has 10 000); the account must add up."""
    client, generator = camera.client, np.random.default_rng(7)
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
    assert after['published'] > before['published']
    camera.answer(camera.good(camera.now_ns()))
    assert 'unexpectedly' not in camera.live.output
    assert client.status('model')['unexpected_errors'] == '0'
