# SPDX-License-Identifier: Apache-2.0
"""The focal length of an image by its CameraInfo, without ROS."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from camera_infos import info
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.camera_info import CameraInfoPairing, focal_length

LENS = [0.1, -0.2, 0.0, 0.0, 0.0]
CASES = {
    'raw': ('/cam/image_raw', 'auto', [0.0] * 5, 500.0, False),
    'said not to be': ('/cam/image_raw', 'no', [0.0] * 5, 500.0, True),
    'raw with distortion': ('/cam/image_raw', 'auto', LENS, 500.0, True),
    'rectified by name': ('/cam/image_rect', 'auto', LENS, 400.0, False),
    'rectified, color, compressed': ('/c/image_rect_color/compressed', 'auto', LENS, 400.0, False),
    'named so, but not': ('/cam/image_rect', 'no', LENS, 500.0, True),
    'said to be': ('/cam/image_raw', 'yes', LENS, 400.0, False),
    'a folder named so': ('/image_rect/image_raw', 'auto', LENS, 500.0, True),
}


@pytest.mark.parametrize('name', CASES)
def test_rectified_images_follow_p_and_others_k(name: str) -> None:
    topic, rectified, lens, focal, distorted = CASES[name]
    found = focal_length(info(d=lens), 640, topic=topic, rectified=rectified)
    assert found == (focal, distorted, focal == 500.0)


def test_without_p_or_k_or_info() -> None:
    topic = '/cam/image_rect'
    zero = [0.0] * 12
    assert focal_length(info(p=zero), 640, topic=topic, rectified='yes').focal_px == 500.0
    assert focal_length(info(k=zero[:9]), 640, topic=topic, rectified='no').focal_px is None
    assert (
        focal_length(info(k=zero[:9], p=zero), 640, topic=topic, rectified='yes').focal_px is None
    )
    assert focal_length(info(k=zero[:9]), 640, topic=topic, rectified='yes').focal_px is None
    assert focal_length(None, 640, topic=topic, rectified='auto').focal_px is None


@pytest.mark.parametrize('value', [0.0, -1.0, 5e-324, 1.7e308, float('nan'), float('inf')])
def test_a_camera_without_a_usable_k_is_not_calibrated(value: float) -> None:
    broken = info(k=[value] * 9)
    for topic in ('/cam/image_raw', '/cam/image_rect'):
        assert focal_length(broken, 640, topic=topic, rectified='auto').focal_px is None
    pairing = CameraInfoPairing('exact')
    pairing.add(broken)
    assert pairing.match(broken.header, (480, 640)) is broken
    assert pairing.state.severity == 2
    assert f'not calibrated (K[0] = {value:g})' in pairing.state.text


def stamped(nanosec: int) -> Any:
    stamp = SimpleNamespace(sec=1, nanosec=nanosec)
    return info(header=SimpleNamespace(frame_id='optical', stamp=stamp))


def matched_late(pairing: CameraInfoPairing, nanosec: int, delay_s: float, wait_s: float) -> Any:
    """What an image gets whose calibration comes after it, and how long it waited."""
    late = stamped(nanosec)
    timer = threading.Timer(delay_s, pairing.add, (late,))
    timer.start()
    start_s = time.monotonic()
    found = pairing.match(late.header, (480, 640), wait_s)
    waited_s = time.monotonic() - start_s
    timer.join()
    return found is late, waited_s


def test_an_image_waits_for_its_calibration_where_that_comes_in_time() -> None:
    pairing = CameraInfoPairing('exact')
    assert [matched_late(pairing, k, 0.02, 5.0)[0] for k in range(3)] == [True] * 3
    found, waited_s = matched_late(pairing, 3, 0.3, 0.05)  # lost, or slow
    assert not found and waited_s >= 0.05
    found, waited_s = matched_late(pairing, 4, 0.3, 0.05)
    assert not found and waited_s < 0.04  # once is enough
    assert pairing.match(stamped(5).header, (480, 640), 5.0) is None  # misses it by little
    pairing.add(stamped(5))
    assert matched_late(pairing, 6, 0.02, 5.0)[0]  # worth while again


def test_without_a_calibration_only_the_first_image_waits() -> None:
    pairing = CameraInfoPairing('exact_or_latest')
    start_s = time.monotonic()
    found = [pairing.match(stamped(k).header, (480, 640), 0.05) for k in range(20)]
    assert found == [None] * 20
    assert 0.05 <= time.monotonic() - start_s < 0.5


@given(st.integers(1, 4), st.sampled_from([160, 320, 640]), st.integers(16, 2000))
def test_binning_region_and_scaling(binning: int, region: int, width: int) -> None:
    """A pixel of the image is `binning` of the calibration; a region does not change that."""
    roi = SimpleNamespace(x_offset=5, y_offset=5, width=region, height=240)
    full = info(roi=roi, binning_x=binning, binning_y=binning)
    seen = region // binning
    found = focal_length(full, width, topic='image', rectified='auto').focal_px
    assert found == pytest.approx(500.0 / binning * width / seen)


def test_a_bag_of_ros_1_writes_capital_letters() -> None:
    message = info()
    for name in ('k', 'p', 'd'):
        setattr(message, name.upper(), getattr(message, name))
        delattr(message, name)
    assert focal_length(message, 640, topic='image', rectified='yes').focal_px == 400.0
    pairing = CameraInfoPairing('exact')
    pairing.add(message)
    assert pairing.match(message.header, (480, 640)) is message
    assert pairing.match(message.header, (480, 641)) is None and pairing.state.severity == 2
