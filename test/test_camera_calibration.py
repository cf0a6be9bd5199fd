# SPDX-License-Identifier: Apache-2.0
"""The focal length of an image by its CameraInfo, without ROS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.camera_info import CameraInfoPairing, focal_length


def info(width: int = 640, height: int = 480, **changes: Any) -> Any:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    header = SimpleNamespace(frame_id='optical', stamp=SimpleNamespace(sec=1, nanosec=0))
    values: dict[str, Any] = {
        'header': header, 'width': width, 'height': height, 'roi': roi,
        'binning_x': 0, 'binning_y': 0, 'd': [0.0] * 5,
        'k': [500.0, 0, 320, 0, 500, 240, 0, 0, 1],
        'p': [400.0, 0, 320, 0, 0, 400, 240, 0, 0, 0, 1, 0],
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


LENS = [0.1, -0.2, 0.0, 0.0, 0.0]
CASES = {
    'raw': ('/cam/image_raw', 'auto', [0.0] * 5, 500.0, False),
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
    assert focal_length(info(d=lens), 640, topic=topic, rectified=rectified) == (focal, distorted)


def test_without_p_or_k_or_info() -> None:
    topic = '/cam/image_rect'
    zero = [0.0] * 12
    assert focal_length(info(p=zero), 640, topic=topic, rectified='yes').focal_px == 500.0
    assert focal_length(info(k=zero[:9]), 640, topic=topic, rectified='no').focal_px is None
    assert (
        focal_length(info(k=zero[:9], p=zero), 640, topic=topic, rectified='yes').focal_px is None
    )
    broken = info(k=[float('nan')] * 9)
    assert focal_length(broken, 640, topic='image', rectified='auto').focal_px is None
    assert focal_length(None, 640, topic=topic, rectified='auto') == (None, False)


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
