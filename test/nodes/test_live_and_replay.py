# SPDX-License-Identifier: Apache-2.0
"""The live node and the replay of the same recording give the same bits."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from bag_commands import finish
from hand_made_depth import color_ramp

from kd_perception.bags import BagReader, BagWriter

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


@pytest.mark.parametrize('output', ['depth/image', 'depth/uncertainty'])
def test_live_depth_and_replay_give_the_same_bits(
    ros_environment, start, tmp_path, tiny_depth_folder, output
):
    drive = tmp_path / 'drive'
    space = f'/live_{output.replace("/", "_")}'
    with BagWriter(drive) as bag:
        for index in range(4):
            stamp_ns = (index + 1) * 100_000_000
            # A constant calibration: images and camera_info have no common order on the way.
            bag.write_camera_info(
                '/camera/camera_info',
                stamp_ns=stamp_ns,
                image_size=(120, 160),
                camera_matrix=[140.0, 0, 79.5, 0, 140.0, 59.5, 0, 0, 1],
                frame_id='optical',
                log_time_ns=stamp_ns - 50_000_000,
            )
            bag.write_image(
                '/camera/image_raw',
                color_ramp(index, size=(120, 160)),
                stamp_ns=stamp_ns,
                frame_id='optical',
            )
    options = {'backend': 'onnxruntime', 'precision': 'fp32', 'deterministic': 'true'}
    parameters = {'model.path': tiny_depth_folder, 'queue_policy': 'every', **options}
    topic = f'{space}/mono_depth/{output}'
    node = start(
        'kd_perception.nodes.mono_depth_node',
        *('--ros-args', '-r', f'__ns:={space}'),
        *(part for item in parameters.items() for part in ('-p', '{}:={}'.format(*item))),
    )
    recorder = start('kd_perception.nodes.bag_recorder', tmp_path / 'recorded', topic)
    assert READY_LINE in recorder.stdout.readline()
    player = start(
        *('kd_perception.cli', 'play', drive, '--step', topic, '--wait-subscribers', '2'),
        *('--remap', f'/camera/image_raw:={space}/image_raw'),
        f'/camera/camera_info:={space}/camera_info',
    )
    finish(player)
    time.sleep(0.3)
    for process in (recorder, node):
        process.send_signal(signal.SIGINT)
        finish(process)
    params = tmp_path / 'params.yaml'
    params.write_text('mono_depth: {ros__parameters: {deterministic: true}}\n')
    replay = start(
        *('kd_perception.cli', 'replay', drive, '--out', tmp_path / 'replayed'),
        *('--params', params, '--student', tiny_depth_folder),
        *('--backend', 'onnxruntime', '--precision', 'fp32'),
    )
    finish(replay)
    with BagReader(tmp_path / 'recorded') as live, BagReader(tmp_path / 'replayed') as here:
        live_frames = list(live.frames(topic))
        here_frames = list(here.frames(f'/camera/mono_depth/{output}'))
    assert len(live_frames) == len(here_frames) == 4
    for one, other in zip(live_frames, here_frames, strict=True):
        assert one.stamp_ns == other.stamp_ns
        assert np.isfinite(one.image).any()
        np.testing.assert_array_equal(one.image, other.image)
