# SPDX-License-Identifier: Apache-2.0
"""What the commands of `kd-perception` do, once their arguments are parsed.

Each `run_*` returns the exit code. Heavy imports stay inside, so that `replay` needs no ROS and
`play` no network runtime.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kd_perception.bags.playback import PlayReport
    from kd_perception.replay import ReplayReport

_FAILURES_SHOWN = 10


def run_demo(arguments: argparse.Namespace) -> int:
    """Run the whole product once."""
    from kd_perception.demo import DemoConfig, show

    return show(
        DemoConfig(
            out=arguments.out,
            seconds=arguments.seconds,
            rate_hz=arguments.rate_hz,
            seed=arguments.seed,
            student=arguments.student,
            fresh=arguments.fresh,
        )
    )


def run_play(arguments: argparse.Namespace) -> int:
    """Publish a bag on ROS topics."""
    from kd_perception.bags.playback import NO_ROS, PlaybackError, PlayConfig

    config = PlayConfig(
        rate=arguments.rate,
        loop=arguments.loop,
        clock_hz=arguments.clock,
        topics=tuple(arguments.topics),
        remap=dict(arguments.remap),
        wait_subscribers=arguments.wait_subscribers,
        wait_timeout_s=arguments.wait_timeout,
        start_delay_s=arguments.start_delay,
        step=arguments.step,
        step_image=arguments.step_image,
        step_timeout_s=arguments.step_timeout,
        stamp=arguments.stamp,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    try:
        from kd_perception.nodes.bag_player import play_bag
    except ModuleNotFoundError as error:
        raise PlaybackError(NO_ROS.format(name=error.name)) from error
    report = play_bag(arguments.bag, config)
    _tell_play(report)
    return 1 if report.unanswered else 0


def _tell_play(report: PlayReport) -> None:
    for message_type, topics in sorted(report.skipped_types.items()):
        print(f'skipped, {message_type} is not installed: {", ".join(topics)}', file=sys.stderr)
    for topic, count in sorted(report.published.items()):
        print(f'{count:7d} {topic}')
    print(
        f'{report.total} messages in {report.wall_s:.1f} s, '
        f'at most {report.max_lateness_ms:.1f} ms late'
    )
    if report.unanswered:
        print(f'{report.unanswered} images were not answered in time', file=sys.stderr)


def run_replay(arguments: argparse.Namespace) -> int:
    """Run a bag through the pipeline in this process."""
    from kd_perception.parameters.arguments import parameters_from_arguments, table_from_arguments
    from kd_perception.pipeline import gain_difference
    from kd_perception.replay import replay_bag
    from kd_perception.replay_answers import CalibrationSource
    from kd_perception.tasks import load_pipeline, task_of

    table = table_from_arguments(arguments)
    parameters = parameters_from_arguments(arguments, table)
    pipeline = load_pipeline(task_of(table), parameters)
    difference = gain_difference(pipeline.student, pipeline.config)
    if difference:
        print(f'warning: {difference}', file=sys.stderr)
    try:
        report = replay_bag(
            arguments.bag,
            arguments.out,
            pipeline,
            image_topic=arguments.image_topic,
            camera_info=CalibrationSource(
                str(parameters['camera_info.sync']), arguments.camera_info_topic
            ),
            node_name=arguments.node_name or '',
            overwrite=arguments.overwrite,
            progress=not arguments.quiet and sys.stderr.isatty(),
        )
    finally:
        pipeline.backend.close()
    backend = pipeline.backend
    print(f'{pipeline.student.spec.name} on {backend.name} {backend.precision}, {backend.device}')
    _tell_replay(report, arguments.out)
    return 0 if report.published else 1


def _tell_replay(report: ReplayReport, out: Path) -> None:
    for failure in report.failures[:_FAILURES_SHOWN]:
        print(f'failed at {failure.log_time_ns} ns: {failure.reason}', file=sys.stderr)
    if report.failed > _FAILURES_SHOWN:
        print(f'... and {report.failed - _FAILURES_SHOWN} more failures', file=sys.stderr)
    median = report.median_ms()
    print(
        f'received {report.received}, published {report.published}, held {report.held}, '
        f'failed {report.failed}\n'
        f'{report.received / max(report.wall_s, 1e-9):.1f} frames per second, reading and writing '
        f'included\nmedian per frame: preprocessing {median.preprocess_ms:.2f} ms, network '
        f'{median.infer_ms:.2f} ms, postprocessing {median.postprocess_ms:.2f} ms\n'
        f'results: {out}'
    )


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Compare predictions with ground truth."""
    from kd_perception.evaluation import command as evaluation

    return evaluation.run(arguments)


def run_world(arguments: argparse.Namespace) -> int:
    """Make a synthetic data set or recording."""
    from kd_perception.world_export import command as world_export

    return world_export.run(arguments)


def run_tag(arguments: argparse.Namespace) -> int:
    """Make a folder of frames to be tagged."""
    from kd_perception.tagging import command as tagging

    return tagging.run(arguments)


def run_bench(arguments: argparse.Namespace) -> int:
    """Time students on this machine."""
    from kd_perception.bench import command as bench

    return bench.run(arguments)


def run_build_engine(arguments: argparse.Namespace) -> int:
    """Build a TensorRT engine."""
    from kd_perception import engine_command

    return engine_command.run(arguments)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Tell what works on this machine."""
    from kd_perception import doctor

    return doctor.run(arguments)
