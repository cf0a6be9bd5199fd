# SPDX-License-Identifier: Apache-2.0
"""Group 3: CameraInfo absent, uncalibrated, of another size or frame, late, stale."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, ramp, stamp
from live_client import ERROR, OK, WARN, Client
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.messages import calibrated_image_size

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


def seen_at(info: CameraInfo, point: np.ndarray) -> np.ndarray:
    """Return the pixel of the image that shows a point, as image_geometry computes it."""
    u, v, w = np.asarray(info.p, dtype=float).reshape(3, 4) @ [*point, 1.0]
    offset = np.array([info.roi.x_offset, info.roi.y_offset])
    return (np.array([u / w, v / w]) - offset) / np.maximum([info.binning_x, info.binning_y], 1)


class TestPairing:
    """The rules, without a node."""

    def test_exact_stamp_wins_over_the_latest(self) -> None:
        pairing = CameraInfoPairing('exact_or_latest')
        first, second = image(ramp(), 10), image(ramp(), 20)
        pairing.add(info_for(first, distortion_model='first'))
        pairing.add(info_for(second, distortion_model='second'))
        found = pairing.info_for(first.header, (96, 128), (96, 128))
        assert found is not None
        assert found.distortion_model == 'first'
        assert (pairing.state.severity, pairing.state.text) == (0, 'paired')

    def test_exact_gives_nothing_for_another_stamp(self) -> None:
        pairing = CameraInfoPairing('exact')
        pairing.add(info_for(image(ramp(), 10)))
        assert pairing.info_for(image(ramp(), 20).header, (96, 128), (96, 128)) is None
        assert pairing.state.severity == 1

    def test_memory_is_bounded_and_the_oldest_goes_first(self) -> None:
        pairing = CameraInfoPairing('exact')
        message = image(ramp(), 1)
        for number in range(2000):
            stamp(message, number + 1)
            pairing.add(copy.deepcopy(info_for(message)))
        old, new = image(ramp(), 1), image(ramp(), 2000)
        assert pairing.info_for(old.header, (96, 128), (96, 128)) is None
        assert pairing.info_for(new.header, (96, 128), (96, 128)) is not None

    def test_a_frame_that_waited_behind_many_is_still_paired(self) -> None:
        """Policy `every`: 90 frames wait, and each CameraInfo came when its frame did."""
        pairing = CameraInfoPairing('exact')
        backlog = [image(ramp(), number + 1) for number in range(90)]
        for message in backlog:
            pairing.add(info_for(message))
        for message in backlog:
            assert pairing.info_for(message.header, (96, 128), (96, 128)) is not None
            assert pairing.state.text == 'paired'

    def test_what_was_known_is_forgotten_on_activation(self) -> None:
        pairing, message = CameraInfoPairing('exact_or_latest'), image(ramp(), 10)
        pairing.add(info_for(message))
        assert pairing.info_for(message.header, (96, 128), (96, 128)) is not None
        pairing.clear()
        assert pairing.state.text == 'no camera_info received'
        assert pairing.info_for(message.header, (96, 128), (96, 128)) is None

    @pytest.mark.parametrize(
        ('binning', 'roi', 'image_size'),
        [
            ((2, 2), {}, (48, 64)),
            ((0, 2), {}, (48, 128)),
            ((1, 1), {'x_offset': 10, 'y_offset': 4, 'width': 80, 'height': 60}, (60, 80)),
            ((2, 4), {'x_offset': 10, 'y_offset': 4, 'width': 80, 'height': 60}, (15, 40)),
        ],
        ids=['binned', 'rows only', 'part', 'part, binned'],
    )
    def test_binning_and_region_make_the_image_smaller(
        self, binning: tuple[int, int], roi: dict[str, int], image_size: tuple[int, int]
    ) -> None:
        """Height and width of a CameraInfo are those of the calibration."""
        pairing, message = CameraInfoPairing('exact'), image(ramp(), 10)
        info = info_for(message, binning_x=binning[0], binning_y=binning[1])
        info.roi = RegionOfInterest(**roi)
        pairing.add(info)
        assert pairing.info_for(message.header, (96, 128), (96, 128)) is None
        assert f'for {image_size[1]}x{image_size[0]}, the image has 128x96' in pairing.state.text
        assert pairing.info_for(message.header, image_size, image_size) == info
        scaled = pairing.info_for(message.header, image_size, (96, 128))
        assert scaled is not None
        assert (scaled.height, scaled.width) == calibrated_image_size(scaled) == (96, 128)
        point = np.array([0.2, -0.1, 2.0])
        scale = np.array([128 / image_size[1], 96 / image_size[0]])
        expected = scale * (seen_at(info, point) + 0.5) - 0.5
        np.testing.assert_allclose(seen_at(scaled, point), expected, atol=1e-9)


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
