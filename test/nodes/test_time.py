# SPDX-License-Identifier: Apache-2.0
"""Group 2: stamps and clocks that no sane robot has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, pixels_of, ramp, stamp
from live_client import OK, WARN, Client
from live_node import wait_until
from rosgraph_msgs.msg import Clock

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], client: Client) -> Any:
    node = start_node({'queue_policy': 'every', 'agc.time_constant_s': 60.0,
                       'latency_budget_ms': 5000.0, 'input_timeout_s': 60.0})  # fmt: skip
    client.wait_for_input()
    client.listen('mask', 'frame_status', 'image_agc')
    return node


def status_of(client: Client, header: Any) -> dict[str, str]:
    message = client.output_for(header, 'frame_status')
    assert message.header == header
    return {value.key: value.value for value in message.status[0].values}


def test_latency_is_the_time_since_the_stamp(ready: Any, client: Client) -> None:
    message = image(ramp(1), client.now_ns() - 500_000_000)
    client.answer(message)
    values = status_of(client, message.header)
    assert 500.0 <= float(values['age_ms']) <= float(values['latency_ms']) < 3000.0


def test_zero_stamp_is_answered_and_warned_about(ready: Any, client: Client) -> None:
    message = image(ramp(2), 0)
    client.answer(message)
    assert status_of(client, message.header)['latency_ms'] == 'nan'
    client.diagnosed('input', WARN, 'no stamp')
    ready.says('An image has no stamp')


def test_future_stamp_is_answered_without_a_negative_latency(ready: Any, client: Client) -> None:
    message = image(ramp(3), client.now_ns() + 30 * 10**9)
    client.answer(message)
    values = status_of(client, message.header)
    assert (values['latency_ms'], values['age_ms']) == ('nan', 'nan')
    client.diagnosed('input', WARN, 'ahead of the ROS clock')
    client.answer(image(ramp(13), client.now_ns()))
    client.fresh_diagnostics()
    assert float(client.status('latency')['p50_ms']) >= 0.0


@pytest.mark.parametrize('nanoseconds', [2**31 * 10**9 - 1, -(10**9), -1])
def test_extreme_stamps_are_answered(ready: Any, client: Client, nanoseconds: int) -> None:
    message = image(ramp(4), 0)
    stamp(message, nanoseconds)
    client.answer(message)
    assert status_of(client, message.header)['latency_ms'] == 'nan'


def test_duplicate_stamps_are_answered_one_by_one(ready: Any, client: Client) -> None:
    now_ns = client.now_ns()
    before = len(client.received['mask'])
    for seed in range(3):
        client.images.publish(image(ramp(seed), now_ns))
    wait_until(lambda: len(client.received['mask']) == before + 3, 'three answers to one stamp')


def test_jump_back_resets_the_gain_control(ready: Any, client: Client) -> None:
    """With a time constant of 60 s only a reset lets the gray levels follow a hotter scene."""
    base_ns = client.now_ns()
    cold, hot = ramp(5), ramp(5) + np.uint16(1000)
    client.answer(image(cold, base_ns))
    message = image(hot, base_ns + 10**8)
    client.answer(message)
    lagging = pixels_of(client.output_for(message.header, 'image_agc'))
    assert (lagging == 255).mean() > 0.4
    message = image(hot, base_ns - 20 * 10**9)
    client.answer(message)
    fresh = pixels_of(client.output_for(message.header, 'image_agc'))
    assert 100 < fresh.mean() < 155


def test_frames_older_than_the_bound_are_dropped(ready: Any, client: Client) -> None:
    assert client.set_parameters(max_age_ms=1000.0).successful
    dropped = client.counts()['dropped']
    client.images.publish(image(ramp(6), client.now_ns() - 5 * 10**9))
    client.wait_for_count('dropped', dropped + 1)
    assert int(client.status('input')['dropped_age']) >= 1
    client.diagnosed('input', WARN, 'older than max_age_ms')
    client.answer(image(ramp(6), client.now_ns()))
    client.set_parameters(max_age_ms=0.0)


def test_the_bound_is_ignored_for_an_old_bag_on_the_wall_clock(ready: Any, client: Client) -> None:
    assert client.set_parameters(max_age_ms=1000.0).successful
    for seed in range(2):
        client.answer(image(ramp(seed), 1_500_000_000 * 10**9 + seed))
    assert ready.output.count('max_age_ms is ignored') == 1
    client.set_parameters(max_age_ms=0.0)


@pytest.fixture(scope='module')
def clock(ready: Any, start_node: Callable[..., Any], client: Client) -> Iterator[Any]:
    """Replace the node by one on /clock, and give the publisher of /clock."""
    assert ready.end() == 0
    publisher = client.node.create_publisher(Clock, '/clock', 10)
    node = start_node({'use_sim_time': True, 'queue_policy': 'every',
                       'latency_budget_ms': 5000.0, 'input_timeout_s': 60.0})  # fmt: skip
    wait_until(lambda: publisher.get_subscription_count() > 0, 'a clock listener')
    client.diagnostics.clear()
    client.wait_for_input()
    client.listen('mask', 'frame_status')
    yield publisher
    assert node.alive


class TestSimulatedClock:
    """A node on /clock: not started, paused, jumping back."""

    def at(self, publisher: Any, nanoseconds: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(nanoseconds, 10**9)
        publisher.publish(message)

    def test_frames_before_the_first_clock_message_are_answered(
        self, clock: Any, client: Client
    ) -> None:
        message = image(ramp(1), 100 * 10**9)
        client.answer(message)
        assert status_of(client, message.header)['latency_ms'] == 'nan'

    def test_a_paused_clock_stops_neither_frames_nor_diagnostics(
        self, clock: Any, client: Client
    ) -> None:
        self.at(clock, 100 * 10**9)
        client.fresh_diagnostics()
        for seed in range(3):
            client.answer(image(ramp(seed), 100 * 10**9 + seed + 1))
        client.diagnosed('input', OK)
        client.diagnosed('latency', OK)

    def test_a_clock_that_jumps_back_is_survived(self, clock: Any, client: Client) -> None:
        for now_s in (200, 50, 60):
            self.at(clock, now_s * 10**9)
            client.fresh_diagnostics()
            message = image(ramp(now_s), now_s * 10**9 - 10**8)
            client.answer(message)
            assert float(status_of(client, message.header)['latency_ms']) == pytest.approx(100.0)
