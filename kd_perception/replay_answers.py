# SPDX-License-Identifier: Apache-2.0
"""What a replay gives for each frame, by the task of the student: as the live node would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from kd_perception.bags import BagReader
from kd_perception.bags.types import (
    CAMERA_INFO_TYPE,
    BagMessage,
    header_stamp_ns,
    with_header_stamp,
)
from kd_perception.camera_info import CameraInfoPairing, focal_length
from kd_perception.camera_info_changes import camera_info_at_size, unrectified
from kd_perception.errors import BagError
from kd_perception.frames import Frame, Image
from kd_perception.pipeline import (
    DepthOutput,
    DepthPipeline,
    DepthResult,
    FramePipeline,
    Output,
    Pipeline,
    Result,
)


class CalibrationSource(NamedTuple):
    """Where the calibration of a recorded camera is.

    Attributes:
        sync: The node's parameter ``camera_info.sync``.
        topic: With CameraInfo; empty is ``camera_info`` beside the images.
    """

    sync: str = 'exact_or_latest'
    topic: str = ''


BESIDE_THE_IMAGES = CalibrationSource()


class Answers(Protocol):
    """Runs frames and names the outputs."""

    def step(self, frame: Frame, header: Any) -> Any:
        """Run one frame; `header` is that of its message."""

    def images(self, result: Any) -> dict[str, Image | None]:
        """Return the images of a result by topic; None where there is none."""

    def messages(self, result: Any, header: Any) -> dict[str, Any]:
        """Return other messages of a result by topic."""


def answers_of(
    pipeline: FramePipeline[Any],
    bag: BagReader,
    image_topic: str,
    camera_info: CalibrationSource = BESIDE_THE_IMAGES,
) -> Answers:
    """Choose what answers the frames of a recording.

    Args:
        pipeline: Of any task.
        bag: Open recording, which is read apart for its calibration.
        image_topic: Topic of the images.
        camera_info: Where the calibration of the camera is; for depth.

    Raises:
        BagError: The topic that is named for it is not one of CameraInfo.
    """
    if isinstance(pipeline, DepthPipeline):
        calibration = RecordedCalibration(bag, image_topic, camera_info)
        return DepthAnswers(pipeline, calibration, image_topic)
    assert isinstance(pipeline, Pipeline)
    return MaskAnswers(pipeline)


class MaskAnswers:
    """Masks; see `Answers`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def step(self, frame: Frame, header: Any) -> Result:
        """Run one frame."""
        return self._pipeline.step(frame, Output.ALL)

    def images(self, result: Result) -> dict[str, Image | None]:
        """Return the images of a result by topic."""
        return {
            'mask': result.mask,
            'confidence': result.confidence,
            'uncertainty': result.uncertainty,
            'image_agc': result.agc_image,
            'temperature': result.temperature,
        }

    def messages(self, result: Result, header: Any) -> dict[str, Any]:
        """Return nothing else."""
        return {}


class RecordedCalibration:
    """Gives each image the CameraInfo that a live node beside the camera had.

    That is the one of its stamp, else, if allowed, the latest up to that stamp.

    Args:
        bag: Recording; its topic ``camera_info`` beside the images is read, if there.
        image_topic: Topic of the images.
        source: Another topic, and how images find theirs.

    Raises:
        BagError: The topic that is named is not one of CameraInfo.
    """

    def __init__(
        self, bag: BagReader, image_topic: str, source: CalibrationSource = BESIDE_THE_IMAGES
    ) -> None:
        self._pairing = CameraInfoPairing(source.sync)
        beside = image_topic.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'
        topic = source.topic or beside
        known = bag.topics.get(topic)
        there = known is not None and known.message_type == CAMERA_INFO_TYPE
        if source.topic and not there:
            raise BagError(
                f'{topic} must be a topic of {CAMERA_INFO_TYPE} in {bag.path}. The bag has: '
                f'{bag.describe_topics()}.'
            )
        self._waiting = self._recorded(bag, topic) if there else []

    @staticmethod
    def _recorded(bag: BagReader, topic: str) -> list[tuple[int, BagMessage]]:
        """Read all messages, the latest first; those of equal content share it."""
        contents: dict[bytes, BagMessage] = {}

        def stamped() -> Iterator[tuple[int, BagMessage]]:
            with BagReader(bag.path) as again:
                for message in again.messages([topic]):
                    try:
                        stamp_ns = header_stamp_ns(message.data)
                        content = with_header_stamp(message.data, 0)
                        shared = replace(message, data=content)
                        yield stamp_ns, contents.setdefault(content, shared)
                    except BagError as error:
                        bag.count_failure(message, f'{topic}: {error}')

        return sorted(stamped(), key=lambda entry: -entry[0])

    def match(self, frame: Frame, header: Any) -> Any | None:
        """Return the CameraInfo of a frame; None where there is none that fits."""
        while self._waiting and self._waiting[-1][0] <= frame.stamp_ns:
            stamp_ns, message = self._waiting.pop()
            data = with_header_stamp(message.data, stamp_ns)
            self._pairing.add(replace(message, data=data).deserialize())
        return self._pairing.match(header, (frame.image.shape[0], frame.image.shape[1]))


class DepthAnswers:
    """Depth with what the recording knows of its camera; see `Answers`."""

    def __init__(
        self, pipeline: DepthPipeline, calibration: RecordedCalibration, image_topic: str
    ) -> None:
        self._pipeline = pipeline
        self._calibration = calibration
        self._topic = image_topic
        self._info: Any = None

    def step(self, frame: Frame, header: Any) -> DepthResult:
        """Run one frame."""
        self._info = self._calibration.match(frame, header)
        focal = focal_length(
            self._info,
            frame.image.shape[1],
            topic=self._topic,
            rectified=self._pipeline.config.input_is_rectified,
        )
        if self._info is not None and focal.follows_k:
            self._info = unrectified(self._info)
        return self._pipeline.step(frame, DepthOutput.ALL, focal_px=focal.focal_px)

    def images(self, result: DepthResult) -> dict[str, Image | None]:
        """Return the images of a result by topic."""
        return {
            'depth/image': result.depth_m,
            'depth/uncertainty': result.sigma_m,
            'depth/confidence': result.confidence,
            'relative_depth/image': result.relative_depth,
        }

    def messages(self, result: DepthResult, header: Any) -> dict[str, Any]:
        """Return the CameraInfo where depth is in meters."""
        if self._info is None or not result.is_metric:
            return {}
        height, width = result.size
        info = camera_info_at_size(self._info, header, width=width, height=height)
        return {'depth/camera_info': info}
