# SPDX-License-Identifier: Apache-2.0
"""The node's output topics: who listens, and what is sent to them for one frame."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image

from kd_perception.bundle import Student
from kd_perception.frames import ByteImage
from kd_perception.frames import Image as Image_
from kd_perception.nodes.messages import image_message, label_info_message
from kd_perception.overlay import overlay
from kd_perception.pipeline import Output, Result

try:  # not on PyPI, so only there with a ROS installation
    import vision_msgs.msg as vision_messages
except ImportError:
    vision_messages = None

_NEEDS = {
    'mask': Output.MASK,
    'confidence': Output.CONFIDENCE,
    'uncertainty': Output.UNCERTAINTY,
    'overlay': Output.MASK | Output.AGC_IMAGE,
    'image_agc': Output.AGC_IMAGE,
    'temperature': Output.TEMPERATURE,
    'camera_info': Output.MASK,
    'frame_status': Output.MASK,
}
_TYPES = {'camera_info': CameraInfo, 'frame_status': DiagnosticArray}
_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
)


def has_vision_msgs() -> bool:
    """Whether ``~/label_info`` can be published here."""
    return vision_messages is not None


class Outputs:
    """Publishers of everything that one frame can give.

    All are reliable, volatile, keep last 2; ``qos_overrides`` parameters change that per topic.
    Under ``queue_policy: every`` more are kept, because 2 would be overwritten before a recorder
    that falls behind for a moment has them.

    Args:
        node: The rclpy node.
        depth: Messages that the middleware keeps per topic.
        deadline_ms: Deadline offered on each topic; 0 offers none.
        with_temperature: Whether raw values are known as temperatures.
        with_camera_info: Whether CameraInfo is paired with images.
    """

    def __init__(
        self,
        node: Any,
        *,
        depth: int,
        deadline_ms: float,
        with_temperature: bool,
        with_camera_info: bool,
    ) -> None:
        self._node = node
        absent = {name for name, there in (
            ('temperature', with_temperature), ('camera_info', with_camera_info)
        ) if not there}  # fmt: skip
        self._publishers: dict[str, Any] = {}
        self._label_publisher: Any = None
        try:
            for name in (n for n in _NEEDS if n not in absent):
                self._publishers[name] = node.create_publisher(
                    _TYPES.get(name, Image),
                    f'~/{name}',
                    _output_qos(depth, deadline_ms),
                    qos_overriding_options=QoSOverridingOptions(_OVERRIDABLE),
                )
            self._label_publisher = _label_publisher(node)
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

    def publish_images(
        self, names: frozenset[str], header: Any, result: Result, palette: ByteImage
    ) -> None:
        """Publish the image topics among ``names``, each with the input's header.

        The order is that of the table: the mask must not wait behind larger images.
        """
        for name in (n for n in _NEEDS if n in names and n not in _TYPES):
            image = _image_of(name, result, palette)
            if image is not None:
                self._publishers[name].publish(image_message(header, image))

    def publish(self, name: str, message: Any) -> None:
        """Publish a ready message on one of the topics."""
        self._publishers[name].publish(message)

    def publish_labels(self, student: Student, threshold: float) -> None:
        """Tell the names of the mask's ids to present and future listeners."""
        if self._label_publisher is None:
            return
        header = Image().header
        header.stamp = self._node.get_clock().now().to_msg()
        self._label_publisher.publish(
            label_info_message(vision_messages, header, student, threshold)
        )

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in [*self._publishers.values(), self._label_publisher]:
            if publisher is not None:
                self._node.destroy_publisher(publisher)


def wanted_topics(subscribed: frozenset[str], lazy: bool) -> frozenset[str]:
    """Return the topics to publish a frame on; without ``lazy`` the mask is always one."""
    return subscribed if lazy and subscribed else subscribed | {'mask'}


def needed_outputs(names: frozenset[str]) -> Output:
    """Return what the pipeline must compute so that the named topics can be published."""
    return reduce(or_, (_NEEDS[name] for name in names), Output(0))


def _image_of(name: str, result: Result, palette: ByteImage) -> Image_ | None:
    """Return the array that a topic shows."""
    if name == 'overlay':
        return overlay(_gray_at_mask_size(result), result.mask, palette)
    images: dict[str, Image_ | None] = {
        'mask': result.mask,
        'confidence': result.confidence,
        'uncertainty': result.uncertainty,
        'image_agc': result.agc_image,
        'temperature': result.temperature,
    }
    return images[name]


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


def _label_publisher(node: Any) -> Any:
    if vision_messages is None:
        return None
    qos = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    return node.create_publisher(vision_messages.LabelInfo, '~/label_info', qos)


def _gray_at_mask_size(result: Result) -> ByteImage:
    assert result.agc_image is not None
    height, width = result.mask.shape
    if result.agc_image.shape == result.mask.shape:
        return result.agc_image
    resized = cv2.resize(result.agc_image, (width, height), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)
