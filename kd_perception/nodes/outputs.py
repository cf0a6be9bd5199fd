# SPDX-License-Identifier: Apache-2.0
"""The node's output topics: who listens, and what is sent to them for one frame."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from kd_perception.bundle import Student
from kd_perception.frames import ByteImage
from kd_perception.frames import Image as Image_
from kd_perception.nodes.messages import image_message, label_info_message
from kd_perception.nodes.output_topics import OutputTopics
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


def has_vision_msgs() -> bool:
    """Whether ``~/label_info`` can be published here."""
    return vision_messages is not None


class Outputs(OutputTopics):
    """Topics of the segmentation node.

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
        absent = {name for name, there in (
            ('temperature', with_temperature), ('camera_info', with_camera_info)
        ) if not there}  # fmt: skip
        kinds = {name: _TYPES.get(name, Image) for name in _NEEDS if name not in absent}
        self._label_publisher: Any = None
        super().__init__(node, kinds, depth=depth, deadline_ms=deadline_ms)
        try:
            self._label_publisher = _label_publisher(node)
        except Exception:
            self.destroy()
            raise

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
        super().destroy()
        label_publisher, self._label_publisher = self._label_publisher, None
        if label_publisher is not None:
            self._node.destroy_publisher(label_publisher)


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
