# SPDX-License-Identifier: Apache-2.0
"""Answers frames with masks: what the segmentation node does with each one."""

from __future__ import annotations

from typing import Any

from kd_perception.encodings import COLOR_ENCODINGS
from kd_perception.frames import Frame
from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.model_slot import Engine
from kd_perception.nodes.monitor import Scene, ThermalState
from kd_perception.nodes.outputs import needed_outputs
from kd_perception.pipeline import Result


class MaskHandler(FrameHandler):
    """A `FrameHandler` of the segmentation pipeline; its outputs are `nodes.outputs.Outputs`."""

    main_topic = 'mask'

    def _step(self, engine: Engine, header: Any, frame: Frame, names: frozenset[str]) -> Result:
        result: Result = engine.pipeline.step(frame, needed_outputs(names))
        sees_color = engine.student.spec.input.modality == 'rgb'
        if frame.encoding in COLOR_ENCODINGS and not sees_color:
            self._monitor.note('color_input')
        return result

    def _publish(
        self, header: Any, names: frozenset[str], frame: Frame, result: Result, engine: Engine
    ) -> None:
        self._outputs.publish_images(names, header, result, engine.palette)
        height, width = frame.image.shape[:2]
        output_height, output_width = result.mask.shape
        info = self._pairing.info_for(header, (height, width), (output_height, output_width))
        if info is not None and 'camera_info' in names:
            self._outputs.publish('camera_info', info)

    def _status_values(self, result: Result) -> dict[str, object]:
        return {'agc_low': result.agc_low, 'agc_high': result.agc_high}

    def _scene(self, frame: Frame, result: Result, engine: Engine) -> Scene:
        radiometry = engine.pipeline.config.radiometry
        low, high = result.agc_low, result.agc_high
        return ThermalState(
            encoding=frame.encoding,
            low=low,
            high=high,
            low_c=None if radiometry is None else radiometry.scale * low + radiometry.offset,
            high_c=None if radiometry is None else radiometry.scale * high + radiometry.offset,
            frozen=result.frozen,
            frozen_s=self._frozen_s(frame, result),
            saturated_share=result.saturated_share,
        )
