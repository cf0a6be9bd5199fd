# SPDX-License-Identifier: Apache-2.0
"""The recorder in its own process, over real ROS topics."""

from __future__ import annotations

import signal
import time

import pytest
from bag_commands import finish, write_drive

from kd_perception.bags import BagReader

pytest.importorskip('rclpy')

from kd_perception.nodes.bag_recorder import READY_LINE

pytestmark = pytest.mark.ros


def test_a_recorder_without_publisher_leaves_nothing(start, tmp_path):
    recorder = start(
        *('kd_perception.nodes.bag_recorder', tmp_path / 'out', '/nobody'),
        *('--discovery-limit-s', 0.5),
    )
    _, err = finish(recorder, expected=1)
    assert 'nobody publishes /nobody' in err
    assert list(tmp_path.iterdir()) == []


def test_a_live_topic_and_more_signals_do_not_keep_a_recorder_from_its_bag(start, tmp_path):
    drive = write_drive(tmp_path / 'drive', 'live', 40, with_info=False)
    player = start(
        'kd_perception.cli', *('play', drive, '--loop', '--rate', 5, '--wait-subscribers', 1)
    )
    recorder = start('kd_perception.nodes.bag_recorder', tmp_path / 'out', '/live/image_raw')
    assert READY_LINE in recorder.stdout.readline()
    time.sleep(1.5)
    for signum in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        recorder.send_signal(signum)
        time.sleep(0.2)
    finish(recorder, timeout_s=10)
    assert player.poll() is None, 'the topic was live to the end'
    with BagReader(tmp_path / 'out') as bag:
        images = list(bag.frames('/live/image_raw'))
    assert len(images) > 10
