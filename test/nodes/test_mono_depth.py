# SPDX-License-Identifier: Apache-2.0
"""The live depth node: meters by the camera's focal length, and what it says without one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('live_client', reason='needs rclpy')
from calibrated_camera import info_for
from hand_made_depth import color_ramp, expected_depth
from image_messages import image, pixels_of
from live_client import ERROR, OK, WARN, Client
from live_node import NAMESPACE, wait_until

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.frames import Frame
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import DepthPipeline

pytestmark = pytest.mark.ros

NODE = f'{NAMESPACE}/mono_depth'
OUTPUTS = ('depth/image', 'depth/camera_info', 'depth/uncertainty', 'depth/confidence',
           'relative_depth/image', 'frame_status')  # fmt: skip


@pytest.fixture(scope='module')
def viewer(ros_context: object) -> Iterator[Client]:
    made = Client('viewer', target=NODE)
    yield made
    made.close()


@pytest.fixture(scope='module')
def ready(start_node: Callable[..., Any], viewer: Client, tiny_depth_folder: Path) -> Any:
    node = start_node(
        {'model.path': tiny_depth_folder, 'queue_policy': 'every', 'latency_budget_ms': 5000.0},
        command=('-m', 'kd_perception.nodes.mono_depth_node'),
    )
    viewer.wait_for_input()
    viewer.listen(*OUTPUTS)
    return node


def seen(viewer: Client, rgb: np.ndarray, **info: Any) -> Any:
    """Send an image and then its calibration, as drivers do; give the image's message."""
    message = image(rgb, viewer.now_ns())
    wait_until(lambda: viewer.infos.get_subscription_count() > 0, 'subscription to camera_info')
    viewer.images.publish(message)
    viewer.infos.publish(info_for(message, **info))
    return message


def status_of(viewer: Client, header: Any) -> dict[str, str]:
    status = viewer.output_for(header, 'frame_status').status[0]
    return {value.key: value.value for value in status.values}


def test_depth_is_in_meters_by_the_focal_length(ready: Any, viewer: Client) -> None:
    for size, focal in (((96, 128), 120.0), ((240, 320), 250.0)):
        rgb = color_ramp(size=size)
        header = seen(viewer, rgb, focal=focal).header
        depth = pixels_of(viewer.output_for(header, 'depth/image'))
        expected, share, confidence = expected_depth(rgb, focal)
        known = (expected < 49.0) & np.isfinite(depth)
        assert known.mean() > 0.7
        np.testing.assert_allclose(depth[known], expected[known], rtol=2e-5)
        sigma = pixels_of(viewer.output_for(header, 'depth/uncertainty'))
        np.testing.assert_allclose(
            sigma[known], (math.sqrt(2.0) * share * expected)[known], rtol=3e-5
        )
        sure = pixels_of(viewer.output_for(header, 'depth/confidence'))
        assert np.abs(sure[known] - 255 * confidence[known]).max() <= 0.51
        info = viewer.output_for(header, 'depth/camera_info')
        assert (info.height, info.width, info.k[0]) == (*size, focal)
        assert (info.p[0], info.p[5]) == (focal, focal)  # the image is not rectified: as K
        status = status_of(viewer, header)
        assert float(status['focal_px']) == pytest.approx(focal * 128 / size[1])
        assert float(status['scale']) == pytest.approx(focal * 128 / size[1] / 100.0, abs=1e-3)
        assert float(status['valid_ratio']) == pytest.approx(np.isfinite(depth).mean(), abs=1e-3)
        factor = focal * 128 / size[1] / 100.0
        assert float(status['min_m']) == pytest.approx(max(0.1, 0.1 * factor), rel=1e-5)
        assert float(status['max_m']) == pytest.approx(min(80.0, 50.0 * factor), rel=1e-5)
    assert not viewer.received['relative_depth/image']
    viewer.diagnosed('calibration', OK, 'paired')
    viewer.diagnosed('depth', OK, 'have a depth')


def test_an_uncalibrated_camera_gives_no_meters_but_relative_depth(
    ready: Any, viewer: Client
) -> None:
    answered = len(viewer.received['depth/image'])
    rgb = color_ramp(1)
    header = seen(viewer, rgb, k=[0.0] * 9, p=[0.0] * 12).header
    relative = pixels_of(viewer.output_for(header, 'relative_depth/image'))
    np.testing.assert_allclose(relative, expected_depth(rgb, 100.0)[0], rtol=2e-5)
    assert status_of(viewer, header)['scale'] == 'nan'
    viewer.diagnosed('calibration', ERROR, 'K[0] = 0')
    assert len(viewer.received['depth/image']) == answered
    assert not any(m.header == header for m in viewer.received['depth/camera_info'])

    assert viewer.set_parameters(require_calibration=False).successful
    header = seen(viewer, rgb, k=[0.0] * 9, p=[0.0] * 12).header
    viewer.output_for(header, 'depth/image')
    assert float(status_of(viewer, header)['scale']) == 1.0
    viewer.diagnosed('calibration', WARN, 'taken for that')
    assert viewer.set_parameters(require_calibration=True).successful


def test_each_frame_has_the_scale_of_its_own_calibration(ready: Any, viewer: Client) -> None:
    """A lens that zooms: depth by the calibration before would be wrong by as much."""
    for index, focal in enumerate((100.0, 150.0, 80.0, 120.0)):
        rgb = color_ramp(index)
        header = seen(viewer, rgb, focal=focal).header
        depth = pixels_of(viewer.output_for(header, 'depth/image'))
        expected = expected_depth(rgb, focal)[0]
        known = (expected < 30.0) & np.isfinite(depth)
        assert known.any()
        np.testing.assert_allclose(depth[known], expected[known], rtol=2e-5)
    viewer.diagnosed('calibration', OK, 'paired')


def test_a_distorted_image_is_a_warning(ready: Any, viewer: Client) -> None:
    header = seen(viewer, color_ramp(2), d=[0.1, -0.2, 0.0, 0.0, 0.0]).header
    viewer.output_for(header, 'depth/image')
    viewer.diagnosed('calibration', WARN, 'not rectified')


def test_ranges_change_live_and_never_clip(ready: Any, viewer: Client) -> None:
    assert viewer.set_parameters(min_range_m=3.0, max_range_m=20.0).successful
    header = seen(viewer, color_ramp(3), focal=100.0).header
    depth = pixels_of(viewer.output_for(header, 'depth/image'))
    assert np.isposinf(depth).any() and np.isneginf(depth).any()
    finite = depth[np.isfinite(depth)]
    assert 3.0 <= finite.min() < 3.2 and 19.0 < finite.max() <= 20.0
    refused = viewer.set_parameters(min_range_m=30.0)
    assert not refused.successful and 'min_range_m < max_range_m' in refused.reason
    assert viewer.set_parameters(min_range_m=0.1, max_range_m=80.0).successful


def test_colors_are_made_only_for_those_who_look(ready: Any, viewer: Client) -> None:
    viewer.listen('depth/colored')
    message = seen(viewer, color_ramp(4))
    colors = viewer.output_for(message.header, 'depth/colored')
    assert (colors.encoding, colors.height, colors.width) == ('rgb8', 96, 128)
    pixels = pixels_of(colors).astype(int)
    assert (pixels[60, 5] != pixels[60, 60]).any()
    viewer.ignore('depth/colored')


def test_every_row_of_the_table_is_declared(ready: Any, viewer: Client) -> None:
    descriptors = viewer.describe_parameters([spec.name for spec in MONO_DEPTH.rows])
    for spec, descriptor in zip(MONO_DEPTH.rows, descriptors, strict=True):
        assert spec.description in descriptor.description
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert bool(ranges) == (spec.minimum is not None)


def test_frames_without_a_scale_are_dropped_and_counted(ready: Any, viewer: Client) -> None:
    viewer.ignore('relative_depth/image')
    wait_until(lambda: 'relative' not in viewer.status('input')['outputs_listened_to'], 'news')
    before = viewer.counts()
    seen(viewer, color_ramp(5), k=[0.0] * 9, p=[0.0] * 12)
    viewer.wait_for_count('received', before['received'] + 1)
    wait_until(lambda: viewer.counts()['pending'] == 0, 'the end of the frame')
    after = viewer.counts()
    assert after['dropped'] == before['dropped'] + 1
    assert viewer.status('input')['dropped_no_scale'] == str(after['dropped'])


def test_another_task_is_refused_on_configure(
    start_alone: Callable[..., Any], tiny_student_folder: Path, tiny_depth_folder: Path
) -> None:
    for module, folder in (
        ('mono_depth', tiny_student_folder),
        ('thermal_seg', tiny_depth_folder),
    ):
        node = start_alone(
            {'model.path': folder},
            command=('-m', f'kd_perception.nodes.{module}_node'),
            remappings={'__node': 'another'},
        )
        node.says('Configure refused: the student must be of task')


def test_disagreement_needs_a_second_student_and_is_told(
    ready: Any, viewer: Client, tiny_depth_folder: Path, tiny_pair_folder: Path
) -> None:
    """Refused for a student alone; after a reload of a pair it is sigma, until there is none."""
    refused = viewer.set_parameters(uncertainty__method='mutual')
    assert not refused.successful and 'second student' in refused.reason
    assert viewer.set_parameters(model__path=str(tiny_pair_folder)).successful
    assert viewer.trigger('reload_model').success
    assert viewer.set_parameters(uncertainty__method='mutual').successful
    rgb = color_ramp(7)
    header = seen(viewer, rgb, focal=100.0).header
    sigma = pixels_of(viewer.output_for(header, 'depth/uncertainty'))
    student = load_student(tiny_pair_folder)
    pipeline = DepthPipeline(student, create_backend(student, precision='fp32', threads=1))
    expected = pipeline.step(Frame(rgb, 'rgb8', 1), focal_px=100.0).sigma_m
    np.testing.assert_allclose(sigma, expected, rtol=1e-5)
    viewer.diagnosed('depth', OK, 'have a depth')

    assert viewer.set_parameters(model__path=str(tiny_depth_folder)).successful
    answer = viewer.trigger('reload_model')
    assert not answer.success and 'second student' in answer.message
    assert viewer.set_parameters(uncertainty__method='bundle').successful
    assert viewer.trigger('reload_model').success
