# SPDX-License-Identifier: Apache-2.0
"""CameraInfo of images that were resized or are not rectified."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from camera_infos import info
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bags import BagReader
from kd_perception.bags.writer import BagWriter
from kd_perception.camera_info_changes import camera_info_at_size, unrectified

HEADER = SimpleNamespace(frame_id='new', stamp=SimpleNamespace(sec=2, nanosec=0))


def project(message: Any, point: np.ndarray) -> np.ndarray:
    u, v, w = np.asarray(message.p, dtype=float).reshape(3, 4) @ [*point, 1.0]
    return np.array([u / w, v / w])


@given(st.integers(16, 640), st.integers(16, 640))
def test_a_scaled_camera_sees_points_where_the_resized_image_shows_them(w: int, h: int) -> None:
    p = [500.0, 0.0, 319.5, -30.0, 0.0, 510.0, 239.5, 4.0, 0.0, 0.0, 1.0, 0.0]
    message = info(p=p)
    scaled = camera_info_at_size(message, HEADER, width=w, height=h)
    point = np.array([0.4, -0.3, 2.5])
    scale = np.array([w / 640, h / 480])
    expected = scale * (project(message, point) + 0.5) - 0.5
    np.testing.assert_allclose(project(scaled, point), expected, atol=1e-9)
    assert (scaled.width, scaled.height) == (w, h)
    assert (message.width, message.k[0], message.p[3]) == (640, 500.0, -30.0)
    assert scaled.header == HEADER


def test_a_region_and_binning_become_part_of_a_resized_camera() -> None:
    roi = SimpleNamespace(x_offset=40, y_offset=20, width=400, height=200)
    message = info(roi=roi, binning_x=2, binning_y=2)
    scaled = camera_info_at_size(message, HEADER, width=100, height=50)
    assert (scaled.roi.width, scaled.roi.x_offset, scaled.binning_x) == (0, 0, 0)
    assert scaled.p[0] == pytest.approx(400.0 / 4)
    assert (message.roi.width, message.binning_x) == (400, 2)


@pytest.mark.parametrize('package', ['rclpy', 'rosbags'])
def test_messages_of_ros_and_of_bags_take_both_changes(package: str, tmp_path: Path) -> None:
    if package == 'rclpy':
        made = pytest.importorskip('sensor_msgs.msg').CameraInfo(height=480, width=640)
    else:
        with BagWriter(tmp_path / 'bag') as bag:
            bag.write_camera_info('/i', stamp_ns=1, image_size=(480, 640), camera_matrix=[0.0] * 9)
        with BagReader(tmp_path / 'bag') as recorded:
            made = next(iter(recorded.messages(['/i']))).deserialize()
    made.k, made.p = (np.asarray(getattr(info(), name), float) for name in ('k', 'p'))
    changed = camera_info_at_size(unrectified(made), made.header, width=320, height=240)
    assert (changed.k[0], changed.p[0], changed.r[0], changed.width) == (250.0, 250.0, 1.0, 320)
    assert (made.k[0], made.p[0], made.width) == (500.0, 400.0, 640)


def test_what_reads_p_sees_the_camera_that_the_depth_is_of() -> None:
    message = info(r=[0.0] * 9)
    seen = unrectified(message)
    assert list(seen.p) == [500.0, 0, 320, 0, 0, 500.0, 240, 0, 0, 0, 1, 0]
    assert list(seen.r) == [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]
    assert seen.k == message.k and seen.d == message.d
    assert message.p[0] == 400.0
