# SPDX-License-Identifier: Apache-2.0
"""Header stamps are read and replaced in the bytes of a message."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bags.types import (
    common_types,
    has_header,
    header_stamp_ns,
    with_header_stamp,
)
from kd_perception.errors import BagError


@given(
    stamp_ns=st.integers(0, 2**31 * 10**9 - 1),
    new_stamp_ns=st.integers(0, 2**31 * 10**9 - 1),
    little_endian=st.booleans(),
)
def test_only_the_stamp_changes(stamp_ns, new_stamp_ns, little_endian):
    types = common_types().types
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9)), frame_id='optical'
    )
    message = types['sensor_msgs/msg/CompressedImage'](header, 'png', np.arange(5, dtype=np.uint8))
    data = bytes(
        common_types().serialize_cdr(message, message.__msgtype__, little_endian=little_endian)
    )
    assert header_stamp_ns(data) == stamp_ns
    restamped = with_header_stamp(data, new_stamp_ns)
    assert header_stamp_ns(restamped) == new_stamp_ns
    assert with_header_stamp(restamped, stamp_ns) == data


def test_stamps_need_a_header_and_room():
    assert has_header('sensor_msgs/msg/Image')
    assert has_header('diagnostic_msgs/msg/DiagnosticArray')
    assert not has_header('std_msgs/msg/String')
    assert not has_header('tf2_msgs/msg/TFMessage')
    assert not has_header('nobody_msgs/msg/Nothing')
    with pytest.raises(BagError, match='needs 12 bytes'):
        with_header_stamp(b'\0\1\0\0', 5)
    with pytest.raises(BagError, match='A stamp must lie'):
        with_header_stamp(bytes(20), 2**31 * 10**9)
