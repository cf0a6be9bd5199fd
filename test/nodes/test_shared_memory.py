# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kd_perception.nodes.shared_memory import SEGMENT_BYTES, room_for_images

VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS'):
        monkeypatch.delenv(name, raising=False)


def test_the_profile_lasts_as_long_as_the_block() -> None:
    with room_for_images():
        profile = Path(os.environ[VARIABLE])
        assert ElementTree.parse(profile).getroot().tag.endswith('profiles')
    assert VARIABLE not in os.environ
    assert not profile.exists()


def test_the_environment_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), room_for_images():
        raise ZeroDivisionError
    assert VARIABLE not in os.environ


@pytest.mark.parametrize('name', [VARIABLE, 'FASTDDS_BUILTIN_TRANSPORTS'])
def test_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, 'mine')
    with room_for_images():
        assert os.environ[name] == 'mine'
        assert os.environ.get(VARIABLE) == ('mine' if name == VARIABLE else None)


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
