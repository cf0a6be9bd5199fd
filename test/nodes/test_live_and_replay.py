# SPDX-License-Identifier: Apache-2.0
"""The live node and the replay of the same recording give the same bits."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from bag_commands import finish
from hand_made_depth import color_ramp
from sensor_images import encoded

from kd_perception.bags import BagReader, BagWriter

pytest.importorskip('rclpy')

from kd_perception.nodes.bag_recorder import READY_LINE

pytestmark = pytest.mark.ros


def live_and_replayed(start, folder, drive, *, node, student, space, output, source, play=()):
    """Frames of an output of the live node and of a replay, for the same recording.

    `space` is the namespace of the live node, `source` that of the recording's images; `play` are
    more arguments of the player.
    """
    topic = f'{space}/{node}/{output}'
    parameters = {
        'model.path': student,
        'queue_policy': 'every',
        'deterministic': 'true',
        'backend': 'onnxruntime',
        'precision': 'fp32',
    }
    process = start(
        f'kd_perception.nodes.{node}_node',
        *('--ros-args', '-r', f'__ns:={space}'),
        *(part for item in parameters.items() for part in ('-p', '{}:={}'.format(*item))),
    )
    recorder = start('kd_perception.nodes.bag_recorder', folder / 'recorded', topic)
    assert READY_LINE in recorder.stdout.readline()
    player = start(
        *('kd_perception.cli', 'play', drive, '--step', topic, *play),
        *('--remap', f'{source}/image_raw:={space}/image_raw'),
        f'{source}/camera_info:={space}/camera_info',
    )
    finish(player)
    time.sleep(0.3)
    for running in (recorder, process):
        running.send_signal(signal.SIGINT)
        finish(running)
    params = folder / 'params.yaml'
    params.write_text(f'{node}: {{ros__parameters: {{deterministic: true}}}}\n')
    replay = start(
        *('kd_perception.cli', 'replay', drive, '--out', folder / 'replayed'),
        *('--params', params, '--student', student),
        *('--backend', 'onnxruntime', '--precision', 'fp32'),
    )
    finish(replay)
    with BagReader(folder / 'recorded') as live, BagReader(folder / 'replayed') as here:
        return list(live.frames(topic)), list(here.frames(f'{source}/{node}/{output}'))


def check_same_bits(live, replayed, count):
    assert len(live) == len(replayed) == count
    for one, other in zip(live, replayed, strict=True):
        assert one.stamp_ns == other.stamp_ns
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize('output', ['mask', 'uncertainty'])
def test_live_node_and_replay_give_the_same_bits(
    ros_environment, start, tmp_path, real_data, tiny_student_folder, output
):
    live, replayed = live_and_replayed(
        start,
        tmp_path,
        real_data / 'bags' / 'ros2_thermal16_cc0',
        node='thermal_seg',
        student=tiny_student_folder,
        space=f'/live_{output}',
        output=output,
        source='/thermal',
    )
    check_same_bits(live, replayed, 3)


@pytest.mark.parametrize(
    ('student', 'output', 'encoding'),
    [
        ('tiny_depth_folder', 'depth/image', 'rgb8'),
        ('tiny_depth_folder', 'depth/uncertainty', 'rgb8'),
        ('tiny_pair_folder', 'depth/uncertainty', 'rgb8'),
        ('tiny_depth_folder', 'depth/image', 'bayer_grbg8'),
        ('tiny_depth_folder', 'depth/image', 'uyvy'),
    ],
)
def test_live_depth_and_replay_give_the_same_bits(
    ros_environment, start, tmp_path, request, student, output, encoding
):
    drive = tmp_path / 'drive'
    with BagWriter(drive) as bag:
        for index in range(4):
            stamp_ns = (index + 1) * 100_000_000
            focal = 140.0 + 10.0 * index
            bag.write_camera_info(
                '/camera/camera_info',
                stamp_ns=stamp_ns,
                image_size=(120, 160),
                camera_matrix=[focal, 0, 79.5, 0, focal, 59.5, 0, 0, 1],
                frame_id='optical',
                log_time_ns=stamp_ns + 2_000_000,  # after the image, as drivers send it
            )
            bag.write_image(
                '/camera/image_raw',
                encoded(color_ramp(index, size=(120, 160)), encoding),
                encoding=encoding,
                stamp_ns=stamp_ns,
                frame_id='optical',
            )
    live, replayed = live_and_replayed(
        start,
        tmp_path,
        drive,
        node='mono_depth',
        student=request.getfixturevalue(student),
        space=f'/live_{student}_{output.replace("/", "_")}_{encoding}',
        output=output,
        source='/camera',
        play=('--wait-subscribers', '2'),
    )
    check_same_bits(live, replayed, 4)
    assert all(np.isfinite(frame.image).any() for frame in live)
