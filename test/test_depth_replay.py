# SPDX-License-Identifier: Apache-2.0
"""Replay of a color recording: depth by the calibration that was recorded, and repeatable."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from color_drives import TOPIC, write_color_drive
from hand_made_depth import color_ramp, expected_depth

from kd_perception.bags import BagReader, BagWriter
from kd_perception.cli import main
from kd_perception.errors import BagError, ConfigError
from kd_perception.parameters.arguments import table_from_arguments
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.table import THERMAL_SEG
from kd_perception.replay import replay_bag
from kd_perception.replay_answers import CalibrationSource, RecordedCalibration
from kd_perception.tasks import DEPTH, load_pipeline

OUTPUT = '/camera/mono_depth'


@pytest.fixture
def parameters(tiny_depth_folder: Path) -> dict[str, Any]:
    return MONO_DEPTH.defaults() | {
        'model.path': str(tiny_depth_folder),
        'backend': 'onnxruntime',
        'precision': 'fp32',
        'threads': 1,
        'warmup_iterations': 1,
    }


def frames(path: Path, name: str) -> list[Any]:
    with BagReader(path) as bag:
        return list(bag.frames(f'{OUTPUT}/{name}'))


def test_depth_follows_the_recorded_focal_length(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, 150.0, None, 0.0])
    report = replay_bag(drive, tmp_path / 'out', load_pipeline(DEPTH, parameters))
    assert (report.received, report.published, report.failed) == (4, 4, 0)
    metric, relative = (
        frames(tmp_path / 'out', name) for name in ('depth/image', 'relative_depth/image')
    )
    assert [frame.stamp_ns // 100_000_000 for frame in metric] == [1, 2, 3]
    assert [frame.stamp_ns // 100_000_000 for frame in relative] == [4]
    for index, focal in enumerate((100.0, 150.0, 150.0)):  # the third takes the latest
        expected, _, _ = expected_depth(color_ramp(index), focal)
        near = expected < 49.0
        np.testing.assert_allclose(metric[index].image[near], expected[near], rtol=2e-5)
    with BagReader(tmp_path / 'out') as bag:
        infos = [m.deserialize() for m in bag.messages([f'{OUTPUT}/depth/camera_info'])]
    assert [info.header.stamp.nanosec // 100_000_000 for info in infos] == [1, 2, 3]
    assert [info.k[0] for info in infos] == [100.0, 150.0, 150.0]


def test_outputs_of_the_network_s_size_have_a_calibration_of_that_size(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0])
    pipeline = load_pipeline(DEPTH, parameters | {'output_size': 'network'})
    replay_bag(drive, tmp_path / 'out', pipeline)
    (depth,) = frames(tmp_path / 'out', 'depth/image')
    with BagReader(tmp_path / 'out') as bag:
        (message,) = bag.messages([f'{OUTPUT}/depth/camera_info'])
        found = message.deserialize()
    assert (found.height, found.width) == depth.image.shape
    width = color_ramp(0).shape[1]
    assert found.k[0] == pytest.approx(100.0 * found.width / width)


@pytest.mark.parametrize('encoding', ['bayer_gbrg8', 'bayer_bggr16', 'yuyv'])
def test_cameras_that_send_no_rgb_give_the_same_depth(
    tmp_path: Path, parameters: dict[str, Any], encoding: str
) -> None:
    for name in ('rgb8', encoding):
        drive = write_color_drive(tmp_path / f'{name}_drive', [100.0] * 2, camera=name)
        report = replay_bag(drive, tmp_path / name, load_pipeline(DEPTH, parameters))
        assert (report.received, report.published, report.failed) == (2, 2, 0)
    pair = (frames(tmp_path / name, 'depth/image') for name in ('rgb8', encoding))
    for one, other in zip(*pair, strict=True):
        near = one.image < 40.0
        np.testing.assert_allclose(other.image[near], one.image[near], rtol=0.05)


def test_exact_pairing_and_none(tmp_path: Path, parameters: dict[str, Any]) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, None])
    for sync, metric in (('exact', 1), ('off', 0)):
        pipeline = load_pipeline(DEPTH, parameters)
        replay_bag(drive, tmp_path / sync, pipeline, camera_info=CalibrationSource(sync))
        with BagReader(tmp_path / sync) as bag:
            topics = bag.topics
        found = topics.get(f'{OUTPUT}/depth/image')
        assert (found.message_count if found else 0) == metric
        assert topics[f'{OUTPUT}/relative_depth/image'].message_count == 2 - metric


def test_a_calibration_on_another_topic_is_taken_where_it_is_named(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    drive = tmp_path / 'drive'
    with BagWriter(drive) as bag:
        pixels = color_ramp(0)
        matrix = [100.0, 0.0, 63.5, 0.0, 100.0, 47.5, 0.0, 0.0, 1.0]
        bag.write_camera_info(
            '/calibration', stamp_ns=1, image_size=pixels.shape[:2], camera_matrix=matrix
        )
        bag.write_image(TOPIC, pixels, stamp_ns=1)
    for topic, metric in (('', 0), ('/calibration', 1)):
        out = tmp_path / f'out{metric}'
        source = CalibrationSource('exact', topic)
        replay_bag(drive, out, load_pipeline(DEPTH, parameters), camera_info=source)
        with BagReader(out) as bag_of_results:
            assert (f'{OUTPUT}/depth/image' in bag_of_results.topics) == bool(metric)
    for wrong in ('/nowhere', TOPIC):
        with pytest.raises(BagError, match=f'{wrong} must be a topic of'):
            replay_bag(
                drive, tmp_path / 'no', load_pipeline(DEPTH, parameters),
                camera_info=CalibrationSource('exact', wrong),
            )  # fmt: skip


def test_calibration_of_a_long_recording_takes_little_memory(tmp_path: Path) -> None:
    focals = [100.0] * 20 + [150.0] * 20
    drive = write_color_drive(tmp_path / 'drive', focals)
    with BagReader(drive) as bag:
        calibration = RecordedCalibration(bag, TOPIC, CalibrationSource('exact'))
        assert len({id(message) for _, message in calibration._waiting}) == 2
        for frame, focal in zip(bag.frames(TOPIC), focals, strict=True):
            sec, nanosec = divmod(frame.stamp_ns, 10**9)
            stamp = SimpleNamespace(sec=sec, nanosec=nanosec)
            found = calibration.match(frame, SimpleNamespace(stamp=stamp, frame_id='optical'))
            assert found is not None
            assert (found.k[0], found.header.stamp.nanosec) == (focal, nanosec)


def test_two_replays_are_equal_bit_for_bit(tmp_path: Path, parameters: dict[str, Any]) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0, 150.0])
    for name in ('a', 'b'):
        replay_bag(drive, tmp_path / name, load_pipeline(DEPTH, parameters))
    for output in ('depth/image', 'depth/uncertainty', 'depth/confidence'):
        pair = (frames(tmp_path / name, output) for name in ('a', 'b'))
        for one, other in zip(*pair, strict=True):
            np.testing.assert_array_equal(one.image, other.image)


def test_the_command_finds_the_task_by_the_student(
    tmp_path: Path, tiny_depth_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = write_color_drive(tmp_path / 'drive', [100.0])
    params = tmp_path / 'params.yaml'
    params.write_text(
        f'mono_depth: {{ros__parameters: {{model: {{path: {tiny_depth_folder}}}, '
        'max_range_m: 10.0, warmup_iterations: 1}}\n'
    )
    command = ['replay', drive, '--out', tmp_path / 'out', '--params', params, '--quiet']
    assert main([str(part) for part in command]) == 0
    assert 'received 1, published 1' in capsys.readouterr().out
    (depth,) = frames(tmp_path / 'out', 'depth/image')
    assert depth.image[np.isfinite(depth.image)].max() <= 10.0 and np.isposinf(depth.image).any()


def test_the_table_follows_the_student(
    tmp_path: Path, tiny_depth_folder: Path, tiny_student_folder: Path
) -> None:
    def table(student: object = '', params: Path | None = None) -> Any:
        given = argparse.Namespace(student=str(student), params=params, node_name=None)
        return table_from_arguments(given)

    assert table() is THERMAL_SEG
    assert table(tiny_depth_folder) is MONO_DEPTH
    assert table(tiny_student_folder) is THERMAL_SEG
    both = tmp_path / 'both.yaml'
    both.write_text(f'/**: {{ros__parameters: {{model: {{path: {tiny_depth_folder}}}}}}}\n')
    assert table(params=both) is MONO_DEPTH
    both.write_text('/**: 3\n')
    assert table(params=both) is THERMAL_SEG
    with pytest.raises(ConfigError, match='cannot be read'):
        table(params=tmp_path / 'nowhere.yaml')
