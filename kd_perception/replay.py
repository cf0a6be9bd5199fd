# SPDX-License-Identifier: Apache-2.0
"""Run a bag through the pipeline in this process: every frame, in order, without middleware."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_perception.bags import IMAGE_TYPES, BagReader, BagWriter
from kd_perception.bags.types import BagMessage, MessageFailure
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, KdPerceptionError
from kd_perception.parameters.table import ParameterValue
from kd_perception.pipeline import FramePipeline, Pipeline, Timings
from kd_perception.replay_answers import (
    BESIDE_THE_IMAGES,
    Answers,
    CalibrationSource,
    answers_of,
)
from kd_perception.tasks import SEGMENTATION, load_pipeline, usual_node_name

_FAILURES_KEPT = 100


@dataclass
class ReplayReport:
    """What became of the frames of a bag: received = published + held + failed.

    Attributes:
        received: Messages on the image topic.
        published: Frames whose results are in the output bag.
        held: Frozen frames that the policy `hold` keeps back.
        failed: Frames that could not be used.
        failures: The first of those, and why.
        timings: Wall time per stage of each frame that was used.
        wall_s: Duration of the whole replay, reading and writing included.
    """

    received: int = 0
    published: int = 0
    held: int = 0
    failed: int = 0
    failures: list[MessageFailure] = field(default_factory=list)
    timings: list[Timings] = field(default_factory=list)
    wall_s: float = 0.0

    def count_failure(self, failure: MessageFailure) -> None:
        """Count a frame that could not be used, and keep the reason of the first ones."""
        self.failed += 1
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append(failure)

    def median_ms(self) -> Timings:
        """Return the median wall time per stage in milliseconds; NaN without a frame."""
        if not self.timings:
            return Timings(np.nan, np.nan, np.nan)
        return Timings(*(float(value) for value in np.median(self.timings, axis=0)))


def output_topic(image_topic: str, node_name: str, output: str) -> str:
    """Return the topic on which a live node beside this camera would publish.

    Example: `mask` of `thermal_seg` for `/thermal/image_raw` is `/thermal/thermal_seg/mask`.
    """
    base = image_topic.removesuffix('/compressed').rpartition('/')[0]
    return f'{base}/{node_name}/{output}'


def pipeline_from_parameters(values: Mapping[str, ParameterValue]) -> Pipeline:
    """Load a segmentation student and its backend as the node does on configure.

    Raises:
        KdPerceptionError: If the parameters contradict one another, or the bundle or the backend
            cannot be used.
    """
    return load_pipeline(SEGMENTATION, values)


def replay_bag(
    bag: Path | str,
    out: Path | str,
    pipeline: FramePipeline[Any],
    *,
    image_topic: str = '',
    camera_info: CalibrationSource = BESIDE_THE_IMAGES,
    node_name: str = '',
    overwrite: bool = False,
    progress: bool = False,
) -> ReplayReport:
    """Write the results for every image of a bag to another bag, with the source's headers.

    Args:
        bag: Recording with the images.
        out: Bag to make; it appears only when it is complete.
        pipeline: A fresh or reset pipeline; its state follows the frames.
        image_topic: Topic of the images; empty finds the only one.
        camera_info: Where the calibration of the camera is; for depth.
        node_name: Of the live node, below which it publishes; empty takes the usual one of the
            student.
        overwrite: Replace an existing output bag.
        progress: Show a progress bar on standard error.

    Returns:
        Counts, named failures and times. Frames that cannot be used are left out and counted.

    Raises:
        BagError: If a bag cannot be read or written, or the topic is not an image topic.
    """
    _check_apart(Path(bag), Path(out))
    report = ReplayReport()
    start_s = time.perf_counter()
    with BagReader(bag) as source:
        image_topic = image_topic or source.image_topic()
        info = source.topic(image_topic)
        if info.message_type not in IMAGE_TYPES:
            raise BagError(
                f'Topic {image_topic} carries {info.message_type}, not images. '
                f'The bag has: {source.describe_topics()}.'
            )
        answers = answers_of(pipeline, source, image_topic, camera_info)
        node_name = node_name or usual_node_name(pipeline.student)
        with (
            BagWriter(out, overwrite=overwrite) as target,
            closing(
                tqdm(total=info.message_count, unit='frame', disable=not progress, leave=False)
            ) as bar,
        ):
            for message in source.messages([image_topic]):
                _replay_message(message, answers, node_name, target, report)
                bar.update()
        report.failures.extend(source.failures)  # the reader leaves out what is too large
        report.failed += source.failure_count
        report.received += source.failure_count
    report.wall_s = time.perf_counter() - start_s
    return report


def _check_apart(bag: Path, out: Path) -> None:
    source, target = bag.resolve(), out.resolve()
    if target == source or target in source.parents:
        raise BagError(f'The results must go to another bag than {bag}; received {out}.')


def _replay_message(
    message: BagMessage,
    answers: Answers,
    node_name: str,
    target: BagWriter,
    report: ReplayReport,
) -> None:
    report.received += 1
    try:
        source = message.deserialize()
        frame = frame_from_message(source)
        result = answers.step(frame, source.header)
    except KdPerceptionError as error:
        report.count_failure(MessageFailure(message.topic, message.log_time_ns, str(error)))
        return
    report.timings.append(result.timings)
    if result.held:
        report.held += 1
        return
    for name, image in answers.images(result).items():
        if image is not None:
            target.write_image(
                output_topic(message.topic, node_name, name),
                image,
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                log_time_ns=message.log_time_ns,
            )
    for name, other in answers.messages(result, source.header).items():
        topic = output_topic(message.topic, node_name, name)
        target.write_message(topic, other, log_time_ns=message.log_time_ns)
    report.published += 1
