# SPDX-License-Identifier: Apache-2.0
"""The live node and the replay of the same recording give the same bits."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from bag_commands import finish

from kd_perception.bags import BagReader

pytest.importorskip('rclpy')

from kd_perception.nodes.bag_recorder import READY_LINE

pytestmark = pytest.mark.ros


@pytest.mark.parametrize('output', ['mask', 'uncertainty'])
def test_live_node_and_replay_give_the_same_bits(
    ros_environment, start, tmp_path, real_data, tiny_student_folder, output
):
    drive = real_data / 'bags' / 'ros2_thermal16_cc0'
    topic = f'/live_{output}/thermal_seg/{output}'
    parameters = {
        'model.path': tiny_student_folder,
        'queue_policy': 'every',
        'deterministic': 'true',
        'backend': 'onnxruntime',
        'precision': 'fp32',
    }
    node = start(
        'kd_perception.nodes.thermal_seg_node',
        *('--ros-args', '-r', f'__ns:=/live_{output}'),
        *(part for item in parameters.items() for part in ('-p', '{}:={}'.format(*item))),
    )
    recorder = start('kd_perception.nodes.bag_recorder', tmp_path / 'recorded', topic)
    assert READY_LINE in recorder.stdout.readline()
    player = start(
        *('kd_perception.cli', 'play', drive, '--step', topic),
        *('--remap', f'/thermal/image_raw:=/live_{output}/image_raw'),
    )
    finish(player)
    time.sleep(0.3)
    for process in (recorder, node):
        process.send_signal(signal.SIGINT)
        finish(process)
    params = tmp_path / 'params.yaml'
    params.write_text('thermal_seg: {ros__parameters: {deterministic: true}}\n')
    replay = start(
        *('kd_perception.cli', 'replay', drive, '--out', tmp_path / 'replayed'),
        *('--params', params, '--student', tiny_student_folder),
        *('--backend', 'onnxruntime', '--precision', 'fp32'),
    )
    finish(replay)
    with BagReader(tmp_path / 'recorded') as live, BagReader(tmp_path / 'replayed') as here:
        live_frames = list(live.frames(topic))
        here_frames = list(here.frames(f'/thermal/thermal_seg/{output}'))
    assert len(live_frames) == len(here_frames) == 3
    for one, other in zip(live_frames, here_frames, strict=True):
        assert one.stamp_ns == other.stamp_ns
        np.testing.assert_array_equal(one.image, other.image)
