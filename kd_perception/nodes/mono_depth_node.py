# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `mono_depth`: color images in; depth, its uncertainty and confidence out."""

from __future__ import annotations

import sys
from typing import Any

from kd_perception.nodes.depth_handler import DepthHandler
from kd_perception.nodes.depth_outputs import DepthOutputs
from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.frame_input import image_topic
from kd_perception.nodes.model_slot import Engine
from kd_perception.nodes.node_process import run_node
from kd_perception.nodes.output_topics import OutputTopics
from kd_perception.nodes.perception_node import PerceptionNode
from kd_perception.tasks import DEPTH


class MonoDepthNode(PerceptionNode):
    """Tells the depth of every pixel, in meters where the camera is calibrated."""

    task = DEPTH
    scene = 'depth'

    def _make_outputs(self, engine: Engine, depth: int) -> OutputTopics:
        return DepthOutputs(
            self,
            depth=depth,
            deadline_ms=self.parameters.number('deadline_ms'),
            with_camera_info=self.parameters.text('camera_info.sync') != 'off',
        )

    def _make_handler(self, *arguments: Any) -> FrameHandler:
        handler = DepthHandler(*arguments)
        handler.image_topic = image_topic(self, self.parameters.text('image_transport'))
        return handler

    def _tell_more(self, engine: Engine) -> None:
        second = engine.student.second
        if second is not None and engine.pipeline.uncertainty_method == 'mutual':
            self.get_logger().info(
                f'Sigma is the disagreement with {second.spec.name}: two networks run on each '
                'frame.'
            )
        if not engine.pipeline.is_metric:
            self.get_logger().warning(
                f'{engine.student.spec.name} knows no meters: it answers on '
                '~/relative_depth/image, unless scale.mode is fixed.'
            )
        if not engine.pipeline.is_calibrated:
            self.get_logger().warning(
                f'{engine.student.spec.name} was not calibrated for the uncertainty.method '
                f'{engine.pipeline.uncertainty_method}.'
            )


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run_node(MonoDepthNode, args)


if __name__ == '__main__':
    sys.exit(main())
