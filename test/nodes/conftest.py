# SPDX-License-Identifier: Apache-2.0
"""ROS fixtures: a middleware that stays on this machine, a node in its own process, a client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kd_perception.demo.private_ros import reserved_domain

if TYPE_CHECKING:
    from live_client import Client
    from live_node import LiveNode


@pytest.fixture(scope='session')
def ros_environment() -> Iterator[dict[str, str]]:
    """Environment of every process of the test run: own domain, this machine only."""
    pytest.importorskip('rclpy')
    with _own_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('ROS_DOMAIN_ID', domain)
        patch.setenv('AMENT_PREFIX_PATH', os.environ.get('AMENT_PREFIX_PATH') or sys.prefix)
        patch.setenv('RCUTILS_COLORIZED_OUTPUT', '0')
        patch.setenv('PYTHONUNBUFFERED', '1')
        yield dict(os.environ)


@contextmanager
def _own_domain() -> Iterator[str]:
    """The domain of the environment, or a free one; of several test processes each has its own."""
    given = os.environ.get('ROS_DOMAIN_ID')
    if given and 'PYTEST_XDIST_WORKER' not in os.environ:
        yield given
    else:
        with reserved_domain() as domain:
            yield str(domain)


@pytest.fixture(scope='session')
def ros_context(ros_environment: dict[str, str]) -> Iterator[object]:
    """The rclpy context of the test process."""
    import rclpy

    rclpy.init()
    yield rclpy.get_default_context()
    rclpy.try_shutdown()


@pytest.fixture
def start(ros_environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command of the package; whatever still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start_process(module: str, *arguments: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-m', module, *map(str, arguments)],
            env=ros_environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope='module')
def start_node(
    ros_environment: dict[str, str],
    tiny_student_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., LiveNode]]:
    """Start the node in its own process, with the tiny student unless told otherwise.

    What still runs at the end of the module must be alive, end with code 0 on SIGINT, and have
    printed no traceback.
    """
    from live_node import LiveNode

    folder = tmp_path_factory.mktemp('logs')
    started: list[LiveNode] = []

    def start(parameters: dict[str, Any] | None = None, **options: Any) -> LiveNode:
        values = {'model.path': tiny_student_folder, 'warmup_iterations': 1} | (parameters or {})
        log = folder / f'node_{len(started)}.log'
        started.append(LiveNode(ros_environment, log, values, **options))
        return started[-1]

    yield start
    try:
        for live in started:
            if not live.ended:
                assert live.alive, live.output
                assert live.end() == 0, live.output
                assert 'Traceback' not in live.output, live.output
    finally:
        for live in started:
            live.kill()


@pytest.fixture
def start_alone(start_node: Callable[..., LiveNode]) -> Iterator[Callable[..., LiveNode]]:
    """Start nodes that end with the test, whatever comes of it."""
    started: list[LiveNode] = []

    def start(*args: Any, **options: Any) -> LiveNode:
        started.append(start_node(*args, **options))
        return started[-1]

    yield start
    for live in started:
        assert live.ended or live.end() == 0, live.output


@pytest.fixture(scope='module')
def client(ros_context: object) -> Iterator[Client]:
    """A client that lives as long as the module."""
    from live_client import Client

    made = Client()
    yield made
    made.close()
