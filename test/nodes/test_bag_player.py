# SPDX-License-Identifier: Apache-2.0
"""The player in its own process, over real ROS topics."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest
from bag_commands import PERIOD_NS, finish, write_drive
from rosbags.rosbag2 import StoragePlugin, Writer

from kd_perception.bags import BagReader, BagWriter
from kd_perception.bags.types import common_types, header_stamp_ns

pytest.importorskip('rclpy')

from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from kd_perception.nodes.session import node_session, reliable_qos

pytestmark = pytest.mark.ros


def record_while_playing(start, tmp_path, drive, topics, *options):
    recorder = start('kd_perception.nodes.bag_recorder', tmp_path / 'recorded', *topics)
    player = start('kd_perception.cli', 'play', drive, '--wait-subscribers', len(topics), *options)
    out, _ = finish(player)
    time.sleep(0.5)
    recorder.send_signal(signal.SIGINT)
    finish(recorder)
    with BagReader(tmp_path / 'recorded') as bag:
        return out, list(bag.messages())


def test_bytes_arrive_as_recorded(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'bytes', 20)
    topics = ['/bytes/image_raw', '/bytes/camera_info']
    out, received = record_while_playing(start, tmp_path, drive, topics)
    with BagReader(drive) as bag:
        sent = list(bag.messages())
    assert '40 messages' in out
    for topic in topics:
        before = [message.data for message in sent if message.topic == topic]
        after = [message.data for message in received if message.topic == topic]
        assert len(after) == len(before) == 20
        for one, other in zip(before, after, strict=True):
            assert other[: len(one)] == one
            assert not any(other[len(one) :]), 'the middleware pads with zeros only'


def test_pace_is_that_of_the_recording_times_the_rate(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'pace', 31, with_info=False)
    _, received = record_while_playing(
        start, tmp_path, drive, ['/pace/image_raw'], '--rate', 2, '--start-delay', 0.2
    )
    times_ns = np.array([message.log_time_ns for message in received])
    expected_ns = 30 * PERIOD_NS / 2
    assert times_ns.size == 31
    # A busy machine delays single messages; nothing makes them early, and delays do not add up.
    assert 0.9 * expected_ns < times_ns[-1] - times_ns[0] < 2 * expected_ns
    assert np.mean(np.diff(times_ns) > 0.2 * PERIOD_NS / 2) > 0.6, 'sent in bursts'


def test_new_stamps_are_shared_by_image_and_camera_info(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'stamps', 10)
    start_ns = time.time_ns()
    _, received = record_while_playing(
        start, tmp_path, drive, ['/stamps/image_raw', '/stamps/camera_info'], '--stamp', 'now'
    )
    stamps = {
        kind: [header_stamp_ns(m.data) for m in received if m.topic == f'/stamps/{kind}']
        for kind in ('image_raw', 'camera_info')
    }
    assert stamps['image_raw'] == stamps['camera_info'] == sorted(set(stamps['image_raw']))
    assert start_ns < stamps['image_raw'][0] < stamps['image_raw'][-1] < time.time_ns()
    assert all(0 < m.log_time_ns - header_stamp_ns(m.data) < 5e9 for m in received)


def test_remapped_and_chosen_topics(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'remap', 5)
    out, received = record_while_playing(
        start,
        tmp_path,
        drive,
        ['/elsewhere/image'],
        *('--topics', '/remap/image_raw', '--remap', '/remap/image_raw:=/elsewhere/image'),
    )
    assert {message.topic for message in received} == {'/elsewhere/image'}
    assert len(received) == 5
    assert 'camera_info' not in out


class Responder:
    """Answers images slowly from a queue of one, as a best-effort node would."""

    def __init__(self, name: str, ignored: frozenset[int] = frozenset()) -> None:
        self._name = name
        self._ignored = ignored
        self._stop = threading.Event()
        self.received: list[int] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with node_session(f'{self._name}_responder') as (node, executor):
            answers = node.create_publisher(Image, f'/{self._name}/mask', reliable_qos(2))

            def answer(image: Image) -> None:
                time.sleep(0.03)
                self.received.append(image.data[0])
                if image.data[0] not in self._ignored:
                    answers.publish(Image(header=image.header))

            node.create_subscription(Image, f'/{self._name}/image_raw', answer, reliable_qos(1))
            while not self._stop.is_set():
                executor.spin_once(timeout_sec=0.05)


def test_stepping_loses_no_frame(ros_environment, start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'step', 25)
    with Responder('step') as responder:
        out, _ = finish(start('kd_perception.cli', 'play', drive, '--step', '/step/mask'))
    assert responder.received == list(range(25))
    assert '50 messages' in out


def test_a_missing_answer_is_told(ros_environment, start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'missing', 6)
    with Responder('missing', frozenset({3})) as responder:
        player = start(
            'kd_perception.cli', 'play', drive, '--step', '/missing/mask', '--step-timeout', 1
        )
        _, err = finish(player, expected=1)
    assert responder.received == list(range(6))
    assert '1 images were not answered' in err


def test_interrupt_ends_a_loop_cleanly(ros_environment, start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'loop', 4, with_info=False)
    player = start('kd_perception.cli', 'play', drive, '--loop', '--wait-subscribers', 1)
    received = []
    with node_session('loop_listener') as (node, executor):
        node.create_subscription(
            Image, '/loop/image_raw', lambda image: received.append(image.data[0]), 10
        )
        deadline_s = time.monotonic() + 30
        while len(received) < 11 and time.monotonic() < deadline_s:
            executor.spin_once(timeout_sec=0.1)
    player.send_signal(signal.SIGINT)
    _, err = finish(player, expected=130)
    assert 'interrupted' in err
    assert received[:11] == [0, 1, 2, 3] * 2 + [0, 1, 2]


def test_clock_runs_in_bag_time(ros_environment, start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'clock', 21, with_info=False)
    times_ns = []

    def note(message: Clock) -> None:
        times_ns.append(message.clock.sec * 10**9 + message.clock.nanosec)

    with node_session('clock_listener') as (node, executor):
        node.create_subscription(Clock, '/clock', note, 100)
        node.create_subscription(Image, '/clock/image_raw', lambda _: None, 10)
        player = start(
            'kd_perception.cli',
            *('play', drive, '--clock', 50, '--wait-subscribers', 1, '--start-delay', 0.3),
        )
        while player.poll() is None:
            executor.spin_once(timeout_sec=0.1)
    finish(player)
    assert times_ns == sorted(times_ns)
    assert 20 <= len(times_ns) <= 55, 'one second at 50 Hz'
    first_ns = 1_600_000_000_000_000_000
    assert first_ns <= times_ns[0] <= times_ns[-1] <= first_ns + 20 * PERIOD_NS


def test_best_effort_subscribers_get_large_images(start, tmp_path):
    """With the default shared memory most images of this size are lost beside a recorder."""
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(40):
            image = np.full((480, 640), index, np.uint16)
            bag.write_image('/large/image_raw', image, stamp_ns=index * PERIOD_NS)
    received = []
    recorder = start('kd_perception.nodes.bag_recorder', tmp_path / 'out', '/large/image_raw')
    with node_session('large_listener') as (node, executor):
        node.create_subscription(
            Image, '/large/image_raw', received.append, qos_profile_sensor_data, raw=True
        )
        player = start('kd_perception.cli', 'play', tmp_path / 'drive', '--wait-subscribers', 2)
        while player.poll() is None:
            executor.spin_once(timeout_sec=0.1)
    finish(player)
    recorder.send_signal(signal.SIGINT)
    finish(recorder)
    assert len(received) >= 39


def test_types_that_are_not_installed_are_skipped_and_named(start, tmp_path):
    path = tmp_path / 'mixed'
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        strange = bag.add_connection(
            '/strange', 'nobody_msgs/msg/Nothing', msgdef='int32 x', rihs01='RIHS01_0'
        )
        known = bag.add_connection('/mixed/text', 'std_msgs/msg/String', typestore=common_types())
        text = common_types().types['std_msgs/msg/String']('hello')
        bag.write(strange, 1, b'\0\1\0\0\1\0\0\0')
        bag.write(known, 2, common_types().serialize_cdr(text, 'std_msgs/msg/String'))
    out, err = finish(start('kd_perception.cli', 'play', path))
    assert 'skipped, nobody_msgs/msg/Nothing is not installed: /strange' in err
    assert '1 messages' in out


def test_nobody_listens(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'alone', 2)
    player = start(
        'kd_perception.cli', 'play', drive, '--wait-subscribers', 1, '--wait-timeout', 0.5
    )
    _, err = finish(player, expected=1)
    assert '1 subscribers must be there' in err
    assert 'ROS_DOMAIN_ID' in err
