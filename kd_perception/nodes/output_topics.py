# SPDX-License-Identifier: Apache-2.0
"""Publishers of everything that one frame can give: who listens, and what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
)


class OutputTopics:
    """Topics below the node's name.

    All are reliable, volatile, keep last 2; ``qos_overrides`` parameters change that per topic.
    Under ``queue_policy: every`` more are kept, because 2 would be overwritten before a recorder
    that falls behind for a moment has them.

    Args:
        node: The rclpy node.
        kinds: Message class of each topic, by its name without ``~/``.
        depth: Messages that the middleware keeps per topic.
        deadline_ms: Deadline offered on each topic; 0 offers none.
    """

    def __init__(
        self, node: Any, kinds: Mapping[str, Any], *, depth: int, deadline_ms: float
    ) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {}
        try:
            for name, kind in kinds.items():
                self._publishers[name] = node.create_publisher(
                    kind,
                    f'~/{name}',
                    _output_qos(depth, deadline_ms),
                    qos_overriding_options=QoSOverridingOptions(_OVERRIDABLE),
                )
        except Exception:
            self.destroy()
            raise

    def subscribed(self) -> frozenset[str]:
        """Return the names of the topics that somebody listens to."""
        return frozenset(
            name
            for name, publisher in self._publishers.items()
            if publisher.get_subscription_count() > 0
        )

    def publish(self, name: str, message: Any) -> None:
        """Publish a ready message on one of the topics."""
        self._publishers[name].publish(message)

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}


def _output_qos(depth: int, deadline_ms: float) -> QoSProfile:
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )
    if deadline_ms > 0:
        profile.deadline = Duration(nanoseconds=round(deadline_ms * 1e6))
    return profile
