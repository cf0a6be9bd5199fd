# SPDX-License-Identifier: Apache-2.0
"""Cameras as they are: remapped, compressed, best effort, silent, or with QoS nobody can take."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp, stamp
from live_client import ERROR, OK, Client
from live_node import wait_until
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

pytestmark = pytest.mark.ros

PARAMETERS = {'latency_budget_ms': 5000.0, 'input_timeout_s': 0.5}


@pytest.fixture
def fresh(client: Client) -> Client:
    """The client without what it knows of an earlier node."""
    client.diagnostics.clear()
    for name in list(client.received):
        client.ignore(name)
        del client.received[name]
    return client


def compressed(pixels: np.ndarray, stamp_ns: int, suffix: str = '.png') -> CompressedImage:
    message = CompressedImage(format=f'mono16; {suffix[1:]} compressed')
    message.data = array.array('B', cv2.imencode(suffix, pixels)[1].tobytes())
    stamp(message, stamp_ns)
    return message


def test_best_effort_camera_is_heard_and_silence_is_told(
    start_alone: Callable[..., Any], fresh: Client
) -> None:
    client = fresh
    client.node.destroy_publisher(client.images)
    quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node = start_alone(PARAMETERS)
    client.diagnosed('input', ERROR, 'no image on /thermal/image_raw')
    client.diagnosed('input', ERROR, 'publishers seen: none')
    client.images = client.node.create_publisher(Image, 'image_raw', quality)
    client.listen('mask')
    client.wait_for_input()
    client.diagnosed('input', ERROR, '/thermal/client (best_effort)')
    client.answer(image(ramp(), client.now_ns()))
    node.says('offered as best effort only')
    node.says('Images arrive')
    assert node.output.count('no image on') in (1, 2)
    assert node.end() == 0


def test_incompatible_qos_names_publisher_and_policy(
    start_alone: Callable[..., Any], fresh: Client
) -> None:
    """A subscription that asks for transient-local cannot hear a volatile camera."""
    fresh.node.destroy_publisher(fresh.images)
    fresh.images = fresh.node.create_publisher(Image, 'image_raw', 10)
    override = 'qos_overrides./thermal/image_raw.subscription.durability'
    node = start_alone({**PARAMETERS, override: 'transient_local'})
    fresh.diagnosed('input', ERROR, 'durability that this subscription cannot take')
    fresh.diagnosed('input', ERROR, '/thermal/client (reliable)')
    node.says('offers a durability')
    assert node.end() == 0


def test_remapped_image_takes_its_camera_info_along(
    start_alone: Callable[..., Any], fresh: Client
) -> None:
    client = fresh
    node = start_alone(PARAMETERS, remappings={'image_raw': '/front/thermal/image'})
    images = client.node.create_publisher(Image, '/front/thermal/image', 10)
    infos = client.node.create_publisher(CameraInfo, '/front/thermal/camera_info', 10)
    client.wait_for_input(images)
    client.wait_for_input(infos)
    client.listen('mask')
    message = image(ramp(), client.now_ns())
    images.publish(message)
    client.output_for(message.header)
    assert client.status('input')['topic'] == '/front/thermal/image'
    assert node.end() == 0
    for publisher in (images, infos):
        client.node.destroy_publisher(publisher)


@pytest.fixture(scope='module')
def compressing(start_node: Callable[..., Any], client: Client) -> Iterator[Any]:
    client.diagnostics.clear()
    node = start_node(
        {'image_transport': 'compressed', 'queue_policy': 'every', 'input_timeout_s': 60.0}
    )
    client.wait_for_input(client.compressed)
    client.listen('mask')
    yield node
    assert node.end() == 0


def test_compressed_16_bit_png_gives_the_mask_of_the_raw_image(
    compressing: Any, client: Client
) -> None:
    assert client.images.get_subscription_count() == 0
    message = compressed(ramp(), client.now_ns())
    client.compressed.publish(message)
    mask = pixels_of(client.output_for(message.header))
    assert np.unique(mask).tolist() == list(range(9))
    assert mask.shape == (96, 128)


@pytest.mark.parametrize(
    'data',
    [b'', b'\x89PNG\r\n\x1a\n', b'GIF89a', 'truncated', 'bomb'],
    ids=['empty', 'only a signature', 'other format', 'truncated', 'bomb'],
)
def test_damaged_compressed_image_is_counted_and_survived(
    compressing: Any, client: Client, data: bytes | str
) -> None:
    good = compressed(ramp(), client.now_ns())
    bad = compressed(ramp(), client.now_ns() + 1_000_000)
    assert bad.header != good.header
    raw = bad.data.tobytes()
    if data == 'truncated':
        data = raw[: len(raw) // 3]
    elif data == 'bomb':  # a header that promises 100,000 x 100,000 pixels
        data = raw[:16] + (100_000).to_bytes(4, 'big') * 2 + raw[24:]
    bad.data = array.array('B', data)
    before = client.counts()
    client.compressed.publish(bad)
    client.compressed.publish(good)  # answered in order, so the bad one is through by then
    client.output_for(good.header)
    client.diagnosed('input', ERROR, 'unusable image')
    counts = {name: value - before[name] for name, value in client.counts().items()}
    assert counts == {'received': 2, 'published': 1, 'dropped': 0, 'failed': 1, 'pending': 0}
    assert not any(mask.header == bad.header for mask in client.received['mask'])
    assert compressing.alive


def test_jpeg_is_answered(compressing: Any, client: Client) -> None:
    message = compressed((ramp() - 29000 >> 3).astype(np.uint8), client.now_ns(), '.jpg')
    client.compressed.publish(message)
    assert pixels_of(client.output_for(message.header)).shape == (96, 128)
    wait_until(lambda: client.diagnostics['model'].level == OK, 'a healthy model')
