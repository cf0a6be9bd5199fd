# SPDX-License-Identifier: Apache-2.0
"""Answers frames with depth: what the depth node does with each one."""

from __future__ import annotations

from typing import Any

from kd_perception.camera_info import CalibrationState, focal_length
from kd_perception.camera_info_changes import unrectified
from kd_perception.frames import Frame
from kd_perception.nodes.depth_outputs import needed_outputs
from kd_perception.nodes.frame_handler import FrameHandler
from kd_perception.nodes.mailbox import DropReason
from kd_perception.nodes.model_slot import Engine
from kd_perception.nodes.monitor import DepthState, Scene
from kd_perception.pipeline import DepthPipeline, DepthResult

# For the calibration of an image that came before it; as a replay would, where no frame is lost.
_WAIT_S = 0.05
_WAIT_WITHOUT_LOSS_S = 1.0


class DepthHandler(FrameHandler):
    """A `FrameHandler` of the depth pipeline; its outputs are those of `nodes.depth_outputs`."""

    main_topic = 'depth/image'

    image_topic = ''
    """Resolved name of the image topic, which may say that images are rectified."""

    def _step(
        self, engine: Engine, header: Any, frame: Frame, names: frozenset[str]
    ) -> DepthResult:
        pipeline: DepthPipeline = engine.pipeline
        size = (frame.image.shape[0], frame.image.shape[1])
        every = self._parameters.text('queue_policy') == 'every'
        wait_s = _WAIT_WITHOUT_LOSS_S if every else _WAIT_S
        info = self._pairing.match(header, size, wait_s)
        focal = focal_length(
            info,
            size[1],
            topic=self.image_topic,
            rectified=pipeline.config.input_is_rectified,
        )
        if info is not None:
            seen = unrectified(info) if focal.follows_k else info
            info = self._pairing.at_size(seen, header, size, pipeline.output_size(size))
        self._info = info
        self._judge(pipeline, pipeline.scale_for(size, focal.focal_px), focal.is_distorted)
        return pipeline.step(frame, needed_outputs(names), focal_px=focal.focal_px)

    def _judge(self, pipeline: DepthPipeline, scale: Any, is_distorted: bool) -> None:
        """Add to the state of the calibration what it means for the depth."""
        found = self._pairing.state
        by_focal = pipeline.config.scale_mode == 'focal'
        if by_focal and not scale.is_metric and pipeline.is_metric:
            self._pairing.state = CalibrationState(2, f'no depth in meters: {found.text}')
        elif scale.is_assumed:
            text = f"the focal length is taken for that of the training's cameras: {found.text}"
            self._pairing.state = CalibrationState(1, text)
        elif is_distorted:
            text = f'the image is not rectified, depth is less exact off its center: {found.text}'
            self._pairing.state = CalibrationState(max(found.severity, 1), text)

    def _reason_to_hold(self, result: DepthResult, names: frozenset[str]) -> DropReason | None:
        if result.held:
            return DropReason.FROZEN
        useful = result.is_metric or 'relative_depth/image' in names
        return None if useful else DropReason.NO_SCALE

    def _publish(
        self, header: Any, names: frozenset[str], frame: Frame, result: DepthResult, engine: Engine
    ) -> None:
        self._outputs.publish_images(names, header, result, engine.pipeline.config)
        if self._info is not None and result.is_metric and 'depth/camera_info' in names:
            self._outputs.publish('depth/camera_info', self._info)

    def _status_values(self, result: DepthResult) -> dict[str, object]:
        return {
            'scale': result.scale,
            'valid_ratio': result.valid_ratio,
            'focal_px': result.focal_px,
            'min_m': result.min_m,
            'max_m': result.max_m,
        }

    def _scene(self, frame: Frame, result: DepthResult, engine: Engine) -> Scene:
        pipeline: DepthPipeline = engine.pipeline
        return DepthState(
            encoding=frame.encoding,
            scale=result.scale,
            focal_px=result.focal_px,
            valid_ratio=result.valid_ratio,
            min_m=result.min_m,
            max_m=result.max_m,
            is_answered=result.depth_m is not None or result.relative_depth is not None,
            frozen=result.frozen,
            frozen_s=self._frozen_s(frame, result),
            uncertainty_method=pipeline.uncertainty_method,
            is_calibrated=pipeline.is_calibrated,
        )
