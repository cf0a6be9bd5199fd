# SPDX-License-Identifier: Apache-2.0
"""Group 3: CameraInfo absent, uncalibrated, of another size or frame, late, stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

live_node = pytest.importorskip('live_node', reason='needs rclpy')
from live_node import ERROR, OK, WARN, Client, image, ramp
from sensor_msgs.msg import CameraInfo

from kd_perception.nodes.camera_info import CameraInfoPairing

pytestmark = pytest.mark.ros


def info_for(message: Any, **changes: Any) -> CameraInfo:
    info = CameraInfo(height=message.height, width=message.width, distortion_model='plumb_bob')
    info.k = [100.0, 0.0, 63.5, 0.0, 100.0, 47.5, 0.0, 0.0, 1.0]
    info.p = [100.0, 0.0, 63.5, 0.0, 0.0, 100.0, 47.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [0.1, -0.2, 0.0, 0.0, 0.0]
    info.header.stamp = message.header.stamp
    info.header.frame_id = message.header.frame_id
    for name, value in changes.items():
        setattr(info, name, value)
    return info


class TestPairing:
    """The rules, without a node."""

    def test_exact_stamp_wins_over_the_latest(self) -> None:
        pairing = CameraInfoPairing('exact_or_latest')
        first, second = image(ramp(), 10), image(ramp(), 20)
        pairing.add(info_for(first, binning_x=1))
        pairing.add(info_for(second, binning_x=2))
        found = pairing.info_for(first.header, (96, 128), (96, 128))
        assert found is not None
        assert found.binning_x == 1
        assert (pairing.state.severity, pairing.state.text) == (0, 'paired')

    def test_exact_gives_nothing_for_another_stamp(self) -> None:
        pairing = CameraInfoPairing('exact')
        pairing.add(info_for(image(ramp(), 10)))
        assert pairing.info_for(image(ramp(), 20).header, (96, 128), (96, 128)) is None
        assert pairing.state.severity == 1

    def test_memory_is_bounded_and_the_oldest_goes_first(self) -> None:
        pairing = CameraInfoPairing('exact')
        for number in range(100):
            pairing.add(info_for(image(ramp(), number + 1)))
        old, new = image(ramp(), 1), image(ramp(), 100)
        assert pairing.info_for(old.header, (96, 128), (96, 128)) is None
        assert pairing.info_for(new.header, (96, 128), (96, 128)) is not None


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Any:
    node = start_node({'queue_policy': 'every', 'latency_budget_ms': 5000.0})
    client.wait_for_input()
    client.wait_for_input(client.infos)
    client.listen('mask', 'camera_info')
    return node


def published(client: Client, header: Any) -> CameraInfo | None:
    return next((m for m in client.received['camera_info'] if m.header == header), None)


def answered(client: Client, message: Any) -> CameraInfo | None:
    """Answer an image; camera_info is published before the next image's mask, or never."""
    client.answer(message)
    following = image(ramp(), client.now_ns())
    client.answer(following)
    return published(client, message.header)


def test_without_camera_info_images_are_answered(ready: Any, client: Client) -> None:
    assert answered(client, image(ramp(), client.now_ns())) is None
    client.diagnosed('calibration', OK, 'no camera_info received')


def test_paired_info_is_passed_on_unchanged(ready: Any, client: Client) -> None:
    message = image(ramp(1), client.now_ns())
    info = info_for(message)
    client.infos.publish(info)
    client.answer(message)
    assert client.output_for(message.header, 'camera_info') == info


def test_stale_info_is_told_when_it_is_used(ready: Any, client: Client) -> None:
    message = image(ramp(2), client.now_ns())
    found = answered(client, message)
    assert found is not None
    assert found.header == message.header
    client.diagnosed('calibration', WARN, 'latest camera_info used')


@pytest.mark.parametrize(
    ('changes', 'text', 'passed_on'),
    [
        ({'k': np.zeros(9)}, 'not calibrated', True),
        ({'width': 64, 'height': 48}, '64x48', False),
        ({'frame': 'rgb_optical'}, 'rgb_optical', False),
    ],
    ids=['uncalibrated', 'other size', 'other frame'],
)
def test_info_that_does_not_fit_is_an_error(
    ready: Any, client: Client, changes: dict[str, Any], text: str, passed_on: bool
) -> None:
    message = image(ramp(3), client.now_ns())
    frame = changes.pop('frame', None)
    info = info_for(message, **changes)
    if frame:
        info.header.frame_id = frame
    client.infos.publish(info)
    client.infos.publish(info)
    client.answer(message)
    following = image(ramp(3), client.now_ns())
    client.answer(following)
    client.diagnosed('calibration', ERROR, text)
    assert (published(client, following.header) is not None) == passed_on


def test_late_info_is_found_by_the_next_image(ready: Any, client: Client) -> None:
    first = image(ramp(4), client.now_ns())
    client.answer(first)
    client.infos.publish(info_for(first))
    client.diagnosed('calibration', ERROR)  # still that of the last test
    second = image(ramp(4), client.now_ns())
    found = answered(client, second)
    assert found is not None
    assert found.header == second.header


def test_network_size_scales_the_calibration(ready: Any, client: Client) -> None:
    for step in ('deactivate', 'cleanup'):
        assert client.transition(step)
    assert client.set_parameters(output_size='network').successful
    for step in ('configure', 'activate'):
        assert client.transition(step)
    client.diagnostics.clear()
    client.wait_for_input()
    client.wait_for_input(client.infos)
    client.listen('mask', 'camera_info')
    message = image(ramp(5, (192, 256)), client.now_ns())
    info = info_for(message)
    client.infos.publish(info)
    mask = client.answer(message)
    assert (mask.height, mask.width) == (96, 128)
    found = client.output_for(message.header, 'camera_info')
    assert (found.height, found.width) == (96, 128)
    assert found.k[0] == pytest.approx(50.0)
    assert found.k[2] == pytest.approx(0.5 * (63.5 + 0.5) - 0.5)
    assert found.d == info.d
