# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `thermal_seg`: thermal or color images in; mask, confidence, uncertainty out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.mask_handler import MaskHandler
from kd_perception.nodes.model_slot import Engine
from kd_perception.nodes.node_process import run_node
from kd_perception.nodes.output_topics import OutputTopics
from kd_perception.nodes.outputs import Outputs, has_vision_msgs
from kd_perception.nodes.perception_node import PerceptionNode
from kd_perception.parameters.spec import ParameterValue
from kd_perception.tasks import SEGMENTATION


class ThermalSegNode(PerceptionNode):
    """Segments images: thermal ones, or color ones with a student of those."""

    task = SEGMENTATION
    scene = 'thermal'

    def _make_outputs(self, engine: Engine, depth: int) -> OutputTopics:
        return Outputs(
            self,
            depth=depth,
            deadline_ms=self.parameters.number('deadline_ms'),
            with_temperature=engine.pipeline.config.radiometry is not None,
            with_camera_info=self.parameters.text('camera_info.sync') != 'off',
        )

    def _make_handler(self, *arguments: Any) -> FrameHandler:
        return MaskHandler(*arguments)

    def _announce(self) -> None:
        engine = self.slot.engine
        if engine is not None:
            self.scene = 'color' if engine.student.spec.input.modality == 'rgb' else 'thermal'
        self._publish_labels(self.parameters.number('min_confidence'))

    def _on_changed(self, values: Mapping[str, ParameterValue], changed: frozenset[str]) -> None:
        if 'min_confidence' in changed:
            self._publish_labels(float(values['min_confidence']))

    def _tell_more(self, engine: Engine) -> None:
        if not has_vision_msgs():
            self.get_logger().warning(
                'vision_msgs is not installed: ~/label_info is not published.', once=True
            )

    def _publish_labels(self, threshold: float) -> None:
        if isinstance(self.outputs, Outputs) and self.slot.engine is not None:
            self.outputs.publish_labels(self.slot.engine.student, threshold)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run_node(ThermalSegNode, args)


if __name__ == '__main__':
    sys.exit(main())
