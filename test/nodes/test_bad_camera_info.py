# SPDX-License-Identifier: Apache-2.0
"""Calibrations that cannot be: the depth node gives no meters for them, says why, and goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from calibrated_camera import info_for
from hand_made_depth import color_ramp, expected_depth
from image_messages import image, pixels_of
from live_client import ERROR, OK, Client
from live_node import NAMESPACE, wait_until
from sensor_msgs.msg import RegionOfInterest

pytestmark = pytest.mark.ros

LARGEST = 2**32 - 1


def roi(**fields: int) -> dict[str, Any]:
    return {'roi': RegionOfInterest(**fields)}


def matrix(focal: float) -> dict[str, Any]:
    return {'k': [focal, 0.0, 63.5, 0.0, focal, 47.5, 0.0, 0.0, 1.0]}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    'width 0': ({'width': 0}, 'camera_info is for 0x96'),
    'largest size': ({'width': LARGEST, 'height': LARGEST}, f'is for {LARGEST}x{LARGEST}'),
    'another resolution': ({'width': 640, 'height': 480}, 'is for 640x480, the image has 128x96'),
    'K of NaN': ({'k': [math.nan] * 9}, 'not calibrated (K[0] = nan)'),
    'infinite K': (matrix(math.inf), 'not calibrated (K[0] = inf)'),
    'negative K': (matrix(-120.0), 'not calibrated (K[0] = -120)'),
    'region larger than the sensor': (
        roi(width=4000, height=3000),
        'a region of 4000x3000 at 0, 0',
    ),
    'region beyond the sensor': (
        roi(x_offset=LARGEST, y_offset=LARGEST, width=128, height=96),
        f'a region of 128x96 at {LARGEST}, {LARGEST} of 128x96 pixels',
    ),
    'least K': (matrix(5e-324), 'not calibrated'),
    'largest K': (matrix(1.7e308), 'not calibrated'),
    'binned, the image is not': ({'binning_x': 2, 'binning_y': 2}, 'is for 64x48'),
    'binned to nothing': ({'binning_x': LARGEST, 'binning_y': LARGEST}, 'is for 0x0'),
}
"""What the calibration says, and what the node says of it beside that there are no meters."""

UNLIKELY: dict[str, dict[str, Any]] = {
    'distortion of NaN': {'d': [math.nan] * 5},
    'P of NaN': {'p': [math.nan] * 12},
}
"""What fits the image as far as the node looks."""


class Pair(NamedTuple):
    """A frame with a bad calibration and the next frame, whose calibration is good."""

    bad: Any
    good: Any
    rgb: np.ndarray
    focal: float


@pytest.fixture(scope='module')
def viewer(ros_context: object) -> Iterator[Client]:
    made = Client('viewer', target=f'{NAMESPACE}/mono_depth')
    yield made
    made.close()


@pytest.fixture(scope='module')
def pairs(
    start_node: Callable[..., Any], viewer: Client, tiny_depth_folder: Path
) -> dict[str, Pair]:
    """A node in focal mode that has received the calibrations, but none of the frames."""
    start_node(
        {'model.path': tiny_depth_folder, 'queue_policy': 'every', 'latency_budget_ms': 5000.0},
        command=('-m', 'kd_perception.nodes.mono_depth_node'),
    )
    viewer.wait_for_input()
    viewer.listen('depth/image', 'depth/camera_info', 'relative_depth/image', 'frame_status')
    wait_until(lambda: viewer.infos.get_subscription_count() > 0, 'subscription to camera_info')
    changes = {name: fields for name, (fields, _) in HOSTILE.items()} | UNLIKELY
    made: dict[str, Pair] = {}
    start_ns = viewer.now_ns()
    for number, (name, fields) in enumerate(changes.items()):
        rgb, focal = color_ramp(number), 100.0 + 10.0 * number
        bad, good = (image(rgb, start_ns + 2000 * number + offset) for offset in (0, 1000))
        viewer.infos.publish(info_for(bad, **fields))
        viewer.infos.publish(info_for(good, focal))
        made[name] = Pair(bad, good, rgb, focal)
        if number % 4 == 3:  # two topics have no common order, and the node keeps the last ten
            viewer.fresh_diagnostics()
    viewer.fresh_diagnostics()
    return made


def check_the_next_frame(viewer: Client, pair: Pair) -> None:
    depth = pixels_of(viewer.answer(pair.good, 'depth/image'))
    expected, _, _ = expected_depth(pair.rgb, pair.focal)
    near = (expected < 49.0) & np.isfinite(depth)
    assert near.mean() > 0.5
    np.testing.assert_allclose(depth[near], expected[near], rtol=2e-5)


@pytest.mark.parametrize('name', HOSTILE)
def test_a_calibration_that_cannot_be_gives_no_meters(
    pairs: dict[str, Pair], viewer: Client, name: str
) -> None:
    pair, reason = pairs[name], HOSTILE[name][1]
    relative = viewer.answer(pair.bad, 'relative_depth/image')
    assert np.isfinite(pixels_of(relative)).any()
    status = viewer.output_for(pair.bad.header, 'frame_status').status[0]
    assert {value.key: value.value for value in status.values}['scale'] == 'nan'
    found = viewer.diagnosed('calibration', ERROR, 'no depth in meters')
    assert reason in found.message
    check_the_next_frame(viewer, pair)
    for output in ('depth/image', 'depth/camera_info'):
        assert not any(m.header == pair.bad.header for m in viewer.received[output])
    viewer.diagnosed('calibration', OK, 'paired')


@pytest.mark.parametrize('name', UNLIKELY)
def test_unlikely_numbers_are_survived(pairs: dict[str, Pair], viewer: Client, name: str) -> None:
    viewer.answer(pairs[name].bad, 'frame_status')
    check_the_next_frame(viewer, pairs[name])


def test_no_calibration_was_an_unexpected_error(pairs: dict[str, Pair], viewer: Client) -> None:
    counts = viewer.counts()
    assert counts['failed'] == counts['dropped'] == counts['pending'] == 0
    assert viewer.status('model')['unexpected_errors'] == '0'
