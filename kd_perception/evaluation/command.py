# SPDX-License-Identifier: Apache-2.0
"""The evaluation as a user runs it: a recording or a folder of images in, a folder of results out.

For recordings: ``metrics.json``, ``report.html`` and ``overlay.mp4`` (``depth.mp4``). For images:
``contact_sheet.jpg`` and ``images.json``.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from kd_perception.bundle import Student, load_student
from kd_perception.errors import ConfigError
from kd_perception.evaluation import depth_command
from kd_perception.evaluation.evaluator import EvaluatedFrame, evaluate_bag
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.image_folder import evaluate_images
from kd_perception.evaluation.outline import outline
from kd_perception.evaluation.report import write_report
from kd_perception.evaluation.report_images import Painter
from kd_perception.evaluation.report_page import NO_FILM, Film, counts_line, latency_line, percent
from kd_perception.evaluation.result import Evaluation, write_atomically
from kd_perception.evaluation.video import OverlayVideo
from kd_perception.parameters.arguments import parameters_from_arguments, table_from_arguments
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import Pipeline
from kd_perception.replay import pipeline_from_parameters
from kd_perception.resources import student_folder

__all__ = ['evaluate_bag', 'evaluate_images', 'evaluate_to_folder', 'run']

METRICS_FILE, REPORT_FILE, VIDEO_FILE = 'metrics.json', 'report.html', 'overlay.mp4'

_VIDEO_PANEL_PX = 480


def evaluate_to_folder(
    bag: Path | str,
    out: Path,
    student: Student,
    *,
    pipeline: Pipeline | None = None,
    predictions: Path | str | None = None,
    image_topic: str = '',
    label_topic: str = '',
    labels: Path | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a recording and write metrics, report and video; existing ones are replaced.

    Args:
        bag: As for :func:`evaluate_bag`, like all others but ``out``.
        out: Folder of the results; made if needed.
        student: Whose classes and colors the masks have.
        pipeline: Runs on each frame; give this or ``predictions``.
        predictions: Recording of a live node's outputs.
        image_topic: Topic of the images; empty finds the only one.
        label_topic: Topic with ground truth; empty takes ``label`` beside the images.
        labels: Folder with ground truth instead.
        progress: Show a progress bar on standard error.

    Raises:
        BagError: As :func:`evaluate_bag`, or the folder cannot be written.
        ShapeError: As :func:`evaluate_bag`.
        ImageEncodingError: As :func:`evaluate_bag`.
    """
    image_topic, frame_count, rate_hz = outline(bag, image_topic)
    painter = Painter(student)
    strip = FrameStrip(painter, frame_count)
    with OverlayVideo(out / VIDEO_FILE, rate_hz) as video:

        def film(evaluated: EvaluatedFrame) -> None:
            panels = painter.paint(evaluated, _VIDEO_PANEL_PX, with_label=False)
            video.write((panels.mask, panels.uncertainty), f'frame {evaluated.record.index}')

        evaluation = evaluate_bag(
            bag,
            student,
            pipeline=pipeline,
            predictions=predictions,
            image_topic=image_topic,
            label_topic=label_topic,
            labels=labels,
            observers=(strip, film),
            progress=progress,
        )
    write_atomically(out / METRICS_FILE, evaluation.to_json())
    made = Film(VIDEO_FILE, video.codec) if video.frame_count else NO_FILM
    write_report(evaluation, strip, out / REPORT_FILE, made)
    return evaluation


def run(arguments: argparse.Namespace) -> int:
    """Run the command ``kd-perception evaluate``.

    Returns:
        Exit code: 0, or 1 if no frame could be used.

    Raises:
        KdPerceptionError: As the functions called.
    """
    images: Path | None = getattr(arguments, 'images', None)
    if (images is None) == (arguments.bag is None):
        raise ConfigError('Give either a recording or --images FOLDER.')
    if images is not None and (arguments.predictions or arguments.labels):
        raise ConfigError('--images goes without --predictions and --labels.')
    progress = not arguments.quiet and sys.stderr.isatty()
    if table_from_arguments(arguments) is MONO_DEPTH:
        return depth_command.run(arguments, progress)
    parameters = parameters_from_arguments(arguments)
    if arguments.predictions is not None:
        folder = student_folder(str(parameters['model.path']))
        student = load_student(folder, sha256=str(parameters['model.sha256']))
        return _run_bag(arguments, student, None, progress)
    pipeline = pipeline_from_parameters(parameters)
    with closing(pipeline.backend):
        if images is None:
            return _run_bag(arguments, pipeline.student, pipeline, progress)
        used = evaluate_images(images, arguments.out, pipeline, progress=progress)
    print(f'{used} images used: {arguments.out}')
    return 0 if used else 1


def _run_bag(
    arguments: argparse.Namespace, student: Student, pipeline: Pipeline | None, progress: bool
) -> int:
    evaluation = evaluate_to_folder(
        arguments.bag,
        arguments.out,
        student,
        pipeline=pipeline,
        predictions=arguments.predictions,
        image_topic=arguments.image_topic,
        label_topic=arguments.label_topic,
        labels=arguments.labels,
        progress=progress,
    )
    print(summary(evaluation))
    print(f'report: {arguments.out / REPORT_FILE}')
    return 0 if evaluation.counts.predicted else 1


def summary(evaluation: Evaluation) -> str:
    """Return the headline figures as lines of text."""
    lines = [counts_line(evaluation.counts), latency_line(evaluation.latency)]
    scores = evaluation.scores
    if scores is not None:
        segmentation = scores.segmentation
        lines.insert(
            0,
            f'mIoU: {percent(segmentation.miou_nanmean)} over classes that occur, '
            f'{percent(segmentation.miou)} with absent classes as 0; '
            f'pixels correct {percent(segmentation.pixel_accuracy)}, ECE {percent(scores.ece)}',
        )
    return '\n'.join([*lines, *evaluation.notes])
