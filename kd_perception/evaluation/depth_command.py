# SPDX-License-Identifier: Apache-2.0
"""The evaluation of depth as a user runs it: a recording in, a folder of results out."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from kd_perception.bundle import Student, load_student
from kd_perception.errors import ConfigError
from kd_perception.evaluation.depth_evaluator import EvaluatedDepth, evaluate_depth_bag
from kd_perception.evaluation.depth_pictures import DepthPainter
from kd_perception.evaluation.depth_report import write_depth_report
from kd_perception.evaluation.depth_result import DepthEvaluation
from kd_perception.evaluation.depth_targets import depth_targets
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.labels import LabelKind
from kd_perception.evaluation.outline import outline
from kd_perception.evaluation.report_page import NO_FILM, Film, counts_line, latency_line, percent
from kd_perception.evaluation.result import write_atomically
from kd_perception.evaluation.video import OverlayVideo
from kd_perception.metrics import DepthProtocol
from kd_perception.parameters.arguments import parameters_from_arguments
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from kd_perception.replay_answers import BESIDE_THE_IMAGES, CalibrationSource
from kd_perception.resources import student_folder
from kd_perception.tasks import DEPTH, load_pipeline

METRICS_FILE, REPORT_FILE, VIDEO_FILE = 'metrics.json', 'report.html', 'depth.mp4'

_VIDEO_PANEL_PX = 480


def evaluate_depth_to_folder(
    bag: Path | str,
    out: Path,
    student: Student,
    *,
    pipeline: DepthPipeline | None = None,
    predictions: Path | str | None = None,
    config: DepthPipelineConfig | None = None,
    image_topic: str = '',
    depth_topic: str = '',
    depths: Path | None = None,
    targets: LabelKind | None = None,
    camera_info: CalibrationSource = BESIDE_THE_IMAGES,
    progress: bool = False,
) -> DepthEvaluation:
    """Evaluate a recording and write metrics, report and video; existing ones are replaced.

    Args:
        bag: As for :func:`evaluate_depth_bag`, like all others but ``out``.
        out: Folder of the results; made if needed.
        student: Whose depth it is.
        pipeline: Runs on each frame; give this or ``predictions``.
        predictions: Recording of a live node's outputs.
        config: Range of the depths that count, where there is no pipeline.
        image_topic: Topic of the images; empty finds the only one.
        depth_topic: Topic with true depth; empty looks for ``depth`` near the images.
        depths: Folder with true depth instead.
        targets: How true depth is read; millimeters where None.
        camera_info: Where the calibration of the camera is.
        progress: Show a progress bar on standard error.

    Raises:
        BagError: As :func:`evaluate_depth_bag`, or the folder cannot be written.
        ShapeError: As :func:`evaluate_depth_bag`.
        ImageEncodingError: As :func:`evaluate_depth_bag`.
    """
    config = pipeline.config if pipeline is not None else config or DepthPipelineConfig()
    image_topic, frame_count, rate_hz = outline(bag, image_topic)
    painter = DepthPainter(DepthProtocol(config.min_range_m, config.max_range_m))
    strip = FrameStrip(painter, frame_count)
    with OverlayVideo(out / VIDEO_FILE, rate_hz) as video:

        def film(evaluated: EvaluatedDepth) -> None:
            panels = painter.pictures(evaluated, _VIDEO_PANEL_PX)
            shown = (panels.camera, panels.depth, panels.sigma)
            pictures = [picture for picture in shown if picture is not None]
            video.write(pictures, f'frame {evaluated.record.index}')

        evaluation = evaluate_depth_bag(
            bag,
            student,
            pipeline=pipeline,
            predictions=predictions,
            config=config,
            image_topic=image_topic,
            depth_topic=depth_topic,
            depths=depths,
            targets=targets,
            camera_info=camera_info,
            observers=(strip, film),
            progress=progress,
        )
    write_atomically(out / METRICS_FILE, evaluation.to_json())
    made = Film(VIDEO_FILE, video.codec) if video.frame_count else NO_FILM
    write_depth_report(evaluation, strip, painter, out / REPORT_FILE, made)
    return evaluation


def run(arguments: argparse.Namespace, progress: bool) -> int:
    """Run the command ``kd-perception evaluate`` with a depth student.

    Returns:
        Exit code: 0, or 1 if no frame could be used.

    Raises:
        KdPerceptionError: As the functions called.
    """
    if arguments.images is not None:
        raise ConfigError(
            'depth needs a recording, for the focal length in its camera_info; received --images'
        )
    values = parameters_from_arguments(arguments, MONO_DEPTH)
    options: dict[str, Any] = {
        'image_topic': arguments.image_topic,
        'depth_topic': arguments.label_topic,
        'depths': arguments.labels,
        'targets': depth_targets(arguments.depth_scale),
        'camera_info': CalibrationSource(
            str(values['camera_info.sync']), arguments.camera_info_topic
        ),
        'progress': progress,
    }
    if arguments.predictions is not None:
        folder = student_folder(str(values['model.path']))
        evaluation = evaluate_depth_to_folder(
            arguments.bag,
            arguments.out,
            load_student(folder, sha256=str(values['model.sha256'])),
            predictions=arguments.predictions,
            config=MONO_DEPTH.pipeline_config(values),
            **options,
        )
    else:
        pipeline = load_pipeline(DEPTH, values)
        with closing(pipeline.backend):
            evaluation = evaluate_depth_to_folder(
                arguments.bag, arguments.out, pipeline.student, pipeline=pipeline, **options
            )
    print(summary(evaluation))
    print(f'report: {arguments.out / REPORT_FILE}')
    return 0 if evaluation.counts.predicted else 1


def summary(evaluation: DepthEvaluation) -> str:
    """Return the headline figures as lines of text."""
    lines = [counts_line(evaluation.counts), latency_line(evaluation.latency)]
    scores = evaluation.scores
    if scores is not None:
        errors = scores.errors
        first = (
            f'abs_rel {percent(errors.abs_rel)}, rmse {errors.rmse:.2f} m, delta1 '
            f'{percent(errors.delta1)} over {evaluation.counts.scored} frames'
        )
        if scores.calibration is not None and scores.sparsification is not None:
            first += (
                f'; sigma: {percent(scores.calibration.coverage_68)} of the errors in the '
                f'interval for 68 %, AUSE {scores.sparsification.abs_rel.ause:.4f}'
            )
        lines.insert(0, first)
    return '\n'.join([*lines, *evaluation.notes])
