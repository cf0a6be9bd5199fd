# SPDX-License-Identifier: Apache-2.0
"""The live node has shared memory that holds whole images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEGMENT_BYTES = 16 * 2**20


@pytest.mark.ros
def test_the_live_node_has_the_larger_segment(start_node: Callable[..., Any], client: Any) -> None:
    if 'fastrtps' not in os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        pytest.skip('another middleware than Fast DDS')
    node = start_node()
    client.wait_for_input()
    mapped = re.findall(
        r'^([0-9a-f]+)-([0-9a-f]+) .*/dev/shm/fast', _maps(node.process.pid), re.MULTILINE
    )
    assert max(int(end, 16) - int(start, 16) for start, end in mapped) >= SEGMENT_BYTES


def _maps(pid: int) -> str:
    return Path(f'/proc/{pid}/maps').read_text()
