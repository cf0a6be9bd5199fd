# SPDX-License-Identifier: Apache-2.0
"""The middleware's profile for large images: when it is set, and that it is a sound file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from kd_perception.errors import BundleError
from kd_perception.middleware import PROFILE_FILE, prepare_middleware

ROOT = Path(__file__).resolve().parents[1]
NEW, OLD = 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'


@pytest.fixture
def share(monkeypatch):
    monkeypatch.setattr('kd_perception.middleware.share_directory', lambda: ROOT)
    return ROOT


@pytest.mark.parametrize(
    ('distribution', 'variable'), [('humble', OLD), ('jazzy', OLD), ('kilted', NEW), ('', NEW)]
)
def test_profile_is_named_as_the_distribution_reads_it(share, distribution, variable):
    environment = {'ROS_DISTRO': distribution}
    prepare_middleware(environment)
    assert Path(environment[variable]) == share / 'config' / PROFILE_FILE
    assert len({NEW, OLD} & set(environment)) == 1


@pytest.mark.parametrize('variable', [NEW, OLD, 'FASTDDS_BUILTIN_TRANSPORTS'])
def test_the_users_own_profile_stays(share, variable):
    environment = {variable: '/my/profile.xml', 'AMENT_PREFIX_PATH': '/opt/ros/kilted'}
    prepare_middleware(environment)
    assert environment == {variable: '/my/profile.xml', 'AMENT_PREFIX_PATH': '/opt/ros/kilted'}


def test_an_incomplete_installation_is_no_obstacle(monkeypatch):
    def missing():
        raise BundleError('no students')

    monkeypatch.setattr('kd_perception.middleware.share_directory', missing)
    environment: dict[str, str] = {}
    prepare_middleware(environment)
    assert not {NEW, OLD} & set(environment)


def test_profile_has_room_for_several_large_images():
    tree = ElementTree.parse(ROOT / 'config' / PROFILE_FILE)
    sizes = {
        element.tag.rpartition('}')[2]: int(element.text or 0)
        for element in tree.iter()
        if (element.text or '').strip().isdigit()
    }
    uncertainty_bytes = 1024 * 1280 * 4
    assert sizes['maxMessageSize'] > uncertainty_bytes
    assert sizes['segment_size'] >= 2 * sizes['maxMessageSize']
