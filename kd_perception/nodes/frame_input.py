# SPDX-License-Identifier: Apache-2.0
"""The input topics: image and camera_info subscriptions, and why nothing may come from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # the module's name up to ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

LATEST_DEPTH, EVERY_DEPTH = 5, 200
"""Frames that the middleware keeps until the executor takes them, by ``queue_policy``.

The mailbox keeps the latest and counts the others; with a depth of one the middleware would drop
frames of a burst itself, and nobody would know.
"""

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
_OVERRIDABLE_BUT_RELIABILITY = tuple(
    kind for kind in _OVERRIDABLE if kind != QoSPolicyKind.RELIABILITY
)


class FrameInput:
    """Subscribes to a camera while the node is active.

    Reliable delivery is asked for first: a 640x480 mono16 image is larger than the shared-memory
    segment of Fast DDS, and as best effort 70 % of a 30 Hz stream were lost on two busy cores,
    none as reliable. A reliable reader that keeps one frame delays no camera driver. If a
    publisher offers best effort only, the input is subscribed again as best effort, so both kinds
    are heard.

    Args:
        node: The rclpy node.
        transport: ``raw`` or ``compressed``.
        every: Whether each frame must be received.
        on_image: Called with each image message.
        on_camera_info: Called with each CameraInfo; None to not subscribe.
    """

    def __init__(
        self,
        node: Any,
        *,
        transport: str,
        every: bool,
        on_image: Callable[[Any], None],
        on_camera_info: Callable[[CameraInfo], None] | None,
    ) -> None:
        self._node = node
        self._compressed = transport == 'compressed'
        self._depth = EVERY_DEPTH if every else LATEST_DEPTH
        self._on_image = on_image
        self.topic = image_topic(node, transport)
        self.info_topic = camera_info_topic(node)
        self._refused_policy = ''
        self._reliable = True
        self._image = self._info = None
        try:
            self._image = self._subscribe()
            if on_camera_info is not None:
                self._info = self._subscribe_info(on_camera_info, EVERY_DEPTH if every else 10)
        except Exception:
            self.destroy()
            raise

    def adapt(self) -> None:
        """Ask for best effort once a publisher is known that offers no more.

        The middleware's event says the same, but not every middleware has it.
        """
        if not self._reliable:
            return
        offers = self._node.get_publishers_info_by_topic(self.topic)
        if any(o.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for o in offers):
            self._listen_as_best_effort()

    @property
    def incompatible(self) -> str:
        """Say which policy keeps a publisher from being heard; empty if none does.

        The names of publishers become known a moment after their policies.
        """
        if not self._refused_policy:
            return ''
        return (
            f'a publisher of {self.topic} offers a {self._refused_policy} that this subscription '
            f'cannot take; publishers seen: {self.publishers_seen()}. '
            f'Set qos_overrides.{self.topic}.subscription.{self._refused_policy}'
        )

    def publishers_seen(self) -> str:
        """Name the image publishers with the reliability they offer, for people."""
        found = self._node.get_publishers_info_by_topic(self.topic)
        names = [
            f'{_full_name(info)} ({info.qos_profile.reliability.name.lower()})' for info in found
        ]
        return ', '.join(sorted(names)) or 'none'

    def destroy(self) -> None:
        """Stop listening."""
        for subscription in (self._image, self._info):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._image = self._info = None

    def _subscribe(self) -> Any:
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=(
                ReliabilityPolicy.RELIABLE if self._reliable else ReliabilityPolicy.BEST_EFFORT
            ),
        )
        return self._node.create_subscription(
            CompressedImage if self._compressed else Image,
            self.topic,
            self._hear,
            qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
            # What publishers offer has overruled the parameter once best effort is asked for.
            qos_overriding_options=QoSOverridingOptions(
                _OVERRIDABLE if self._reliable else _OVERRIDABLE_BUT_RELIABILITY
            ),
        )

    def _subscribe_info(self, on_camera_info: Callable[[CameraInfo], None], depth: int) -> Any:
        return self._node.create_subscription(
            CameraInfo,
            self.info_topic,
            on_camera_info,
            QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions(_OVERRIDABLE),
        )

    def _hear(self, message: Any) -> None:
        self._refused_policy = ''  # whoever could not be heard is gone, or not the only one
        self._on_image(message)

    def _on_incompatible(self, event: Any) -> None:
        policy = QoSPolicyKind(int(event.last_policy_kind)).name.lower()
        if self._reliable and policy == 'reliability':
            self._listen_as_best_effort()
            return
        self._refused_policy = policy
        self._node.get_logger().error(self.incompatible)

    def _listen_as_best_effort(self) -> None:
        self._node.get_logger().warning(
            f'{self.topic} is offered as best effort only: large images may be lost before they '
            'arrive; if so, enlarge the shared memory of the middleware'
        )
        self._reliable = False
        self._node.destroy_subscription(self._image)
        self._image = self._subscribe()


def image_topic(node: Any, transport: str) -> str:
    """Return the resolved image topic; the compressed one lies below the raw one."""
    raw = str(node.resolve_topic_name('image_raw'))
    if transport != 'compressed':
        return raw
    remapped = str(node.resolve_topic_name('image_raw/compressed'))
    if remapped != node.resolve_topic_name('image_raw/compressed', only_expand=True):
        return remapped
    return f'{raw}/compressed'


def camera_info_topic(node: Any) -> str:
    """Return the resolved camera_info topic: the image's sibling unless remapped itself."""
    own = str(node.resolve_topic_name('camera_info'))
    if own != node.resolve_topic_name('camera_info', only_expand=True):
        return own
    return str(node.resolve_topic_name('image_raw')).rpartition('/')[0] + '/camera_info'


def _full_name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
