# SPDX-License-Identifier: Apache-2.0
"""Fixture of the launch tests; needs launch_ros and the installed package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kd_perception.demo.private_ros import reserved_domain

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
    with reserved_domain() as domain:

        def start(file: str, *arguments: str, node_name: str) -> Launched:
            path = LAUNCH_FOLDER / file
            started.append(Launched(path, tmp_path, domain, node_name, list(arguments)))
            return started[-1]

        yield start
        for launched in started:
            launched.close()
