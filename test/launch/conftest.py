# SPDX-License-Identifier: Apache-2.0
"""Fixture of the launch tests; needs launch_ros and the installed package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from launched import Launched


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Run a launch file with arguments."""
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        packages.get_package_prefix('kd_perception')
    except packages.PackageNotFoundError:
        pytest.skip('kd_perception is not installed: colcon build, then source install/setup.bash')
    from launched import LAUNCH_FOLDER, Launched

    started: list[Launched] = []

    def start(file: str, *arguments: str, node_name: str) -> Launched:
        domain = int(os.environ.get('ROS_DOMAIN_ID', 0)) or 60 + os.getpid() % 40
        path = LAUNCH_FOLDER / file
        started.append(Launched(path, tmp_path, domain, node_name, list(arguments)))
        return started[-1]

    yield start
    for launched in started:
        launched.close()
