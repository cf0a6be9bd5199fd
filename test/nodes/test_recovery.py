# SPDX-License-Identifier: Apache-2.0
"""After trouble: what failed leaves nothing behind, and what is over is no longer told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from image_messages import image, ramp
from live_client import ERROR, OK, Client
from live_node import wait_until
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from kd_perception.nodes.thermal_seg_node import ThermalSegNode

pytestmark = pytest.mark.ros

IMAGE, INFO = '/thermal/image_raw', '/thermal/camera_info'
CONFIDENCE = '/thermal/thermal_seg/confidence'


@pytest.fixture
def make_node(ros_context: object, tiny_student_folder: Path) -> Iterator[Callable[..., Any]]:
    """Make a node in this process, whose threads and topics can be counted."""
    made: list[ThermalSegNode] = []

    def make(overrides: dict[str, Any]) -> ThermalSegNode:
        values = {'model.path': str(tiny_student_folder), 'warmup_iterations': 1}
        values |= {'autostart': False} | overrides
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        made.append(ThermalSegNode(namespace='/thermal', parameter_overrides=parameters))
        return made[-1]

    yield make
    for node in made:
        node.close()
        node.destroy_node()


def left_behind(node: ThermalSegNode) -> tuple[int, int, int]:
    """Count threads of workers, subscriptions and publishers."""
    workers = [t for t in threading.enumerate() if t.name == 'frame_worker']
    return len(workers), len(list(node.subscriptions)), len(list(node.publishers))


@pytest.mark.parametrize(
    ('topic', 'step'), [(IMAGE, 'activate'), (INFO, 'activate'), (CONFIDENCE, 'configure')]
)
def test_a_step_that_fails_leaves_nothing_and_is_told(
    make_node: Callable[..., Any], topic: str, step: str
) -> None:
    end = 'publisher' if topic == CONFIDENCE else 'subscription'
    node = make_node({f'qos_overrides.{topic}.{end}.reliability': 'foo'})
    before = left_behind(node)
    for _ in range(3):
        result = node.trigger_configure()
        if step == 'activate':
            assert result == TransitionCallbackReturn.SUCCESS
            result = node.trigger_activate()
        assert result != TransitionCallbackReturn.SUCCESS
        assert left_behind(node) == before
        assert node.state == 'unconfigured'
        fault = node.monitor.view().faults['load']
        assert fault.text.startswith(f'{step}: ')
        assert 'reliability' in fault.text


def test_a_failed_activation_is_an_error_in_diagnostics(
    start_alone: Callable[..., Any], client: Client
) -> None:
    node = start_alone({f'qos_overrides.{IMAGE}.subscription.reliability': 'foo'})
    client.diagnosed('model', ERROR, 'activate: ')
    assert 'Unexpected error in activate' in node.output
    client.diagnostics.clear()


def test_a_publisher_that_could_not_be_heard_is_forgotten_with_the_next_image(
    start_alone: Callable[..., Any], client: Client
) -> None:
    """The subscription asks for transient-local; the first camera is volatile."""
    override = f'qos_overrides.{IMAGE}.subscription.durability'
    start_alone({override: 'transient_local', 'input_timeout_s': 60.0, 'max_rate_hz': 0.0})
    client.diagnosed('input', ERROR, 'durability that this subscription cannot take')
    client.node.destroy_publisher(client.images)
    quality = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.images = client.node.create_publisher(Image, 'image_raw', quality)
    wait_until(lambda: client.images.get_subscription_count() > 0, 'a camera that is heard')
    client.images.publish(image(ramp(), client.now_ns()))
    client.wait_for_count('received', 1)
    client.diagnosed('input', OK, 'images per second')
