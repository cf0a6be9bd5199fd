# SPDX-License-Identifier: Apache-2.0
"""What the bag player and recorder share: a plain node, message classes, what a topic offers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from kd_perception.middleware import prepare_middleware


@contextmanager
def node_session(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """Give a node with its executor, and take both away at the end.

    Signals are left to Python, so Ctrl-C arrives as KeyboardInterrupt.
    """
    prepare_middleware()
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node(
            name,
            context=context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            yield node, executor
        finally:
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
    finally:
        context.try_shutdown()


def message_class(message_type: str) -> Any | None:
    """Return the class of, for example, `sensor_msgs/msg/Image`; None if it is not installed."""
    parts = message_type.split('/')
    if len(parts) != 3 or not all(part.isidentifier() for part in parts):
        return None
    try:
        module = importlib.import_module(f'{parts[0]}.{parts[1]}')
    except ImportError:
        return None
    return getattr(module, parts[2], None)


def reliable_qos(depth: int, *, transient_local: bool = False) -> QoSProfile:
    """Return reliable delivery of the last `depth` messages."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE
        ),
    )


def offered_qos(node: Node, topic: str, depth: int) -> QoSProfile:
    """Return the strictest quality of service that every publisher of a topic offers.

    Without a publisher that is reliable and volatile.
    """
    profile = reliable_qos(depth)
    offers = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    if any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers):
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    if offers and all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers):
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    return profile


def topic_type(node: Node, topic: str) -> str:
    """Return the type of a topic that somebody publishes; empty if nobody does."""
    if not node.count_publishers(topic):
        return ''
    types = dict(node.get_topic_names_and_types()).get(topic, [])
    return types[0] if types else ''
