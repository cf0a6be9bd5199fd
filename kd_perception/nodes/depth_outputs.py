# SPDX-License-Identifier: Apache-2.0
"""The topics of the depth node, and what each needs of the pipeline."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image

from kd_perception.depth_colors import colored_depth
from kd_perception.frames import Image as Image_
from kd_perception.nodes.messages import image_message
from kd_perception.nodes.output_topics import OutputTopics
from kd_perception.pipeline import DepthOutput, DepthPipelineConfig, DepthResult

_NEEDS = {
    'depth/image': DepthOutput.DEPTH,
    'depth/camera_info': DepthOutput.DEPTH,
    'depth/uncertainty': DepthOutput.SIGMA,
    'depth/confidence': DepthOutput.CONFIDENCE,
    'relative_depth/image': DepthOutput.RELATIVE,
    'depth/colored': DepthOutput.DEPTH,
    'frame_status': DepthOutput.DEPTH,
}
_TYPES = {'depth/camera_info': CameraInfo, 'frame_status': DiagnosticArray}


class DepthOutputs(OutputTopics):
    """Topics of the depth node.

    Args:
        node: The rclpy node.
        depth: Messages that the middleware keeps per topic.
        deadline_ms: Deadline offered on each topic; 0 offers none.
        with_camera_info: Whether CameraInfo is paired with images.
    """

    def __init__(
        self, node: Any, *, depth: int, deadline_ms: float, with_camera_info: bool
    ) -> None:
        absent = () if with_camera_info else ('depth/camera_info',)
        kinds = {name: _TYPES.get(name, Image) for name in _NEEDS if name not in absent}
        super().__init__(node, kinds, depth=depth, deadline_ms=deadline_ms)

    def publish_images(
        self,
        names: frozenset[str],
        header: Any,
        result: DepthResult,
        config: DepthPipelineConfig,
    ) -> None:
        """Publish the image topics among ``names`` that there is something for."""
        for name in (n for n in _NEEDS if n in names and n not in _TYPES):
            image = _image_of(name, result, config)
            if image is not None:
                self.publish(name, image_message(header, image))


def needed_outputs(names: frozenset[str]) -> DepthOutput:
    """Return what the pipeline must compute so that the named topics can be published."""
    return reduce(or_, (_NEEDS[name] for name in names), DepthOutput(0))


def _image_of(name: str, result: DepthResult, config: DepthPipelineConfig) -> Image_ | None:
    """Return the array that a topic shows."""
    if name == 'depth/colored':
        if result.depth_m is None:
            return None
        return colored_depth(result.depth_m, config.min_range_m, config.max_range_m)
    images: dict[str, Image_ | None] = {
        'depth/image': result.depth_m,
        'depth/uncertainty': result.sigma_m,
        'depth/confidence': result.confidence,
        'relative_depth/image': result.relative_depth,
    }
    return images[name]
