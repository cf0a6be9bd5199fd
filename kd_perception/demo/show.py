# SPDX-License-Identifier: Apache-2.0
"""The steps of the demo in order, each with a time limit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kd_perception.bags.playback import NO_ROS, PlaybackError
from kd_perception.bundle import Student, load_student
from kd_perception.demo.drive import (
    CAMERA_INFO_TOPIC,
    IMAGE_TOPIC,
    LABEL_TOPIC,
    RADIOMETRY_PRESET,
    DrivePlan,
    make_drive,
)
from kd_perception.demo.private_ros import private_ros
from kd_perception.demo.processes import Processes
from kd_perception.errors import ConfigError
from kd_perception.evaluation.command import evaluate_to_folder, summary
from kd_perception.evaluation.result import Counts
from kd_perception.resources import student_folder
from kd_perception.tasks import require_thermal_segmentation
from kd_perception.world import WorldConfig, preset

ALL_WEATHER = ('day', 'night', 'glare', 'rain', 'fog')
NAMESPACE = '/thermal'
NODE_NAME = f'{NAMESPACE}/thermal_seg'
INPUTS = (IMAGE_TOPIC, CAMERA_INFO_TOPIC, LABEL_TOPIC)
OUTPUTS = tuple(
    f'{NODE_NAME}/{name}' for name in ('mask', 'confidence', 'uncertainty', 'frame_status')
)

_ACTIVE_LIMIT_S = 90.0
_END_LIMIT_S = 60.0
_DIAGNOSTICS_S = 1.3  # one more period, so that the last totals are recorded
_SUBSCRIPTIONS = len(INPUTS) + 2  # the recorder's, and the node's image and camera_info


@dataclass(frozen=True)
class DemoConfig:
    """What the demo shows.

    Attributes:
        out: Folder of the results.
        seconds: Length of the drive, 2 to 120.
        rate_hz: Frames per second, 1 to 30.
        seed: Which drive.
        student: Shipped student or bundle folder.
        legs: Camera, street and weather of the parts of the drive, one after the other.
        fresh: Render the drive even if it is there.
    """

    out: Path = Path('demo')
    seconds: float = 8.0
    rate_hz: float = 10.0
    seed: int = 7
    student: str = 'thermal_seg_s'
    legs: tuple[WorldConfig, ...] = field(
        default_factory=lambda: tuple(preset(name) for name in ALL_WEATHER)
    )
    fresh: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not 2.0 <= self.seconds <= 120.0:
            raise ConfigError(f'The demo takes 2 to 120 seconds, got {self.seconds}.')
        if not 1.0 <= self.rate_hz <= 30.0:
            raise ConfigError(f'The demo runs at 1 to 30 frames per second, got {self.rate_hz}.')

    def drive_plan(self) -> DrivePlan:
        """Return what is to be rendered."""
        count = round(self.seconds * self.rate_hz)
        return DrivePlan(self.seed, count, self.rate_hz, self.legs)


def show(config: DemoConfig) -> int:
    """Run the demo.

    Returns:
        Exit code: 0, or 1 if the node answered none or lost one without telling.

    Raises:
        KdPerceptionError: If a part of it is missing or does not work; says which.
    """
    wait_until_active = _import_ros()
    folder = student_folder(config.student)
    student = load_student(folder)
    require_thermal_segmentation(student, 'the demo')
    config.out.mkdir(parents=True, exist_ok=True)

    start_s = time.monotonic()
    drive = config.out / 'drive'
    rendered = make_drive(
        config.drive_plan(), drive, fresh=config.fresh, progress=sys.stderr.isatty()
    )
    _tell(start_s, f'{drive}: {"rendered" if rendered else "there already"}')
    with private_ros(), Processes() as processes:
        recording = _play_to_node(config, processes, folder, wait_until_active, start_s)
    evaluation = evaluate_to_folder(
        recording,
        config.out,
        student,
        predictions=recording,
        image_topic=IMAGE_TOPIC,
        progress=sys.stderr.isatty(),
    )
    _tell(start_s, 'evaluated\n')
    print(summary(evaluation))
    return _conclude(config, evaluation.counts, student)


def _import_ros() -> Callable[..., bool]:
    try:
        from kd_perception.nodes.lifecycle_probe import wait_until_active
    except ModuleNotFoundError as error:
        raise PlaybackError(NO_ROS.format(name=error.name)) from error
    return wait_until_active


def _play_to_node(
    config: DemoConfig,
    processes: Processes,
    student: Path,
    wait_until_active: Callable[..., bool],
    start_s: float,
) -> Path:
    """Play the drive to the live node; return the recording of inputs and outputs."""
    recording, out = config.out / 'live_drive', config.out
    # All start at once; the player waits for the subscriptions of the other two.
    node = processes.start('node', _node_arguments(student), out / 'node.log')
    recorder = processes.start(
        'recorder', _recorder_arguments(config, recording), out / 'recorder.log'
    )
    player = processes.start(
        'player', _player_arguments(config), out / 'player.log', bar=sys.stderr.isatty()
    )
    if not wait_until_active(
        NODE_NAME, timeout_s=_ACTIVE_LIMIT_S, keep_waiting=lambda: node.is_running
    ):
        raise node.failure('did not become active')
    _tell(start_s, f'node {NODE_NAME} is active, playing {config.seconds:g} s')
    player.wait(config.seconds + _ACTIVE_LIMIT_S + _END_LIMIT_S)
    time.sleep(_DIAGNOSTICS_S)
    for process in (recorder, node):
        process.interrupt()
    for process in (recorder, node):
        process.wait(_END_LIMIT_S)
    _tell(start_s, f'played, recorded to {recording}')
    return recording


def _node_arguments(student: Path) -> list[str]:
    parameters = {
        'model.path': str(student.resolve()),
        'radiometry.preset': RADIOMETRY_PRESET,
        'autostart': 'true',
    }
    settings = [part for pair in parameters.items() for part in ('-p', '{}:={}'.format(*pair))]
    module = 'kd_perception.nodes.thermal_seg_node'
    return ['-m', module, '--ros-args', '-r', f'__ns:={NAMESPACE}', *settings]


def _recorder_arguments(config: DemoConfig, recording: Path) -> list[str]:
    limit_s = _ACTIVE_LIMIT_S + _END_LIMIT_S + config.seconds
    limits = ['--time-limit-s', str(limit_s), '--discovery-limit-s', str(limit_s)]
    # The player waits for the subscriptions to the inputs, so those come last.
    topics = [*OUTPUTS, '/diagnostics', '--last', *INPUTS]
    module = 'kd_perception.nodes.bag_recorder'
    return ['-m', module, str(recording), *topics, '--overwrite', *limits]


def _player_arguments(config: DemoConfig) -> list[str]:
    # Stamps of now make the latency that of a camera on this machine.
    options = ['--stamp', 'now', '--start-delay', '1.0', '--wait-timeout', str(_ACTIVE_LIMIT_S)]
    subscriptions = ['--wait-subscribers', str(_SUBSCRIPTIONS)]
    module = 'kd_perception.cli'
    return ['-m', module, 'play', str(config.out / 'drive'), *options, *subscriptions]


def _conclude(config: DemoConfig, counts: Counts, student: Student) -> int:
    sent = config.drive_plan().frame_count
    print(
        f'\nframes sent {sent}, received {counts.received}, published {counts.published}, '
        f'recorded {counts.predicted}\n\n'
        f'report:  {config.out / "report.html"}\nvideo:   {config.out / "overlay.mp4"}\n'
        f'figures: {config.out / "metrics.json"}\nstudent: {student.spec.name}, '
        f'see {student.folder / "MODEL_CARD.md"}'
    )
    return _judge(counts, sent)


def _judge(counts: Counts, sent: int) -> int:
    """Tell what did not go as it should; a busy machine drops frames, but loses none silently."""
    published, dropped = counts.published or 0, counts.dropped or 0
    if dropped:
        print(f'{dropped} frames were dropped, as documented, because the machine was busy.')
    accounted = counts.received == sent == published + dropped
    if not accounted or not published:
        print('The node did not account for every frame; see the report.', file=sys.stderr)
    return 0 if accounted and published else 1


def _tell(start_s: float, text: str) -> None:
    print(f'[{time.monotonic() - start_s:5.1f} s] {text}', flush=True)
