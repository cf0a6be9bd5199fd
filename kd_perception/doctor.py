# SPDX-License-Identifier: Apache-2.0
"""`kd-perception doctor`: what works here, and what to do about what does not."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from kd_perception.errors import KdPerceptionError
from kd_perception.machine import describe

_LIBRARIES = (
    ('NumPy', 'numpy'),
    ('OpenCV', 'cv2'),
    ('numba', 'numba'),
    ('rosbags', 'rosbags'),
    ('YAML', 'yaml'),
)


class State(Enum):
    """How a finding is to be taken."""

    OK = 'ok'
    NOTE = 'note'
    PROBLEM = 'PROBLEM'


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        subject: What was looked at.
        state: ``PROBLEM`` makes the command fail.
        text: What was found.
        advice: What to do, empty where there is nothing to do.
    """

    subject: str
    state: State
    text: str
    advice: str = ''


def run(args: argparse.Namespace) -> int:
    """Print the report.

    Returns:
        0 when nothing that a node needs is missing, else 1.
    """
    findings = list(examine(args.student))
    for finding in findings:
        print(f'{finding.state.value:8}{finding.subject:14}{finding.text}')
        if finding.advice:
            print(f'{"":22}-> {finding.advice}')
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    print(f'\n{problems} problem{"" if problems == 1 else "s"} found')
    return 1 if problems else 0


def examine(student: str) -> Iterator[Finding]:
    """Look at everything that a node needs, one finding after the other."""
    yield _interpreter()
    yield Finding('machine', State.OK, describe())
    for name, module in _LIBRARIES:
        yield _library(name, module)
    yield from _ros()
    yield from _backends(student)
    yield _gpu()


def _interpreter() -> Finding:
    text = f'{platform.python_version()} at {sys.executable}'
    inside = ' (virtual environment)' if sys.prefix != sys.base_prefix else ''
    return Finding('Python', State.OK, text + inside)


def _library(name: str, module: str) -> Finding:
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        advice = 'install the package again: pip install .'
        return Finding(name, State.PROBLEM, f'cannot be imported: {error}', advice)
    found = getattr(loaded, '__version__', _version(module))
    return Finding(name, State.OK, f'{found} from {loaded.__file__}')


def _ros() -> Iterator[Finding]:
    try:
        rclpy = importlib.import_module('rclpy')
        implementation = importlib.import_module(
            'rclpy.utilities'
        ).get_rmw_implementation_identifier
    except ImportError as error:
        advice = (
            'source /opt/ros/<distro>/setup.bash with the Python that ROS was built for, or pip '
            "install '.[ros]'; `replay` and `evaluate` work without"
        )
        yield Finding('ROS', State.PROBLEM, f'rclpy cannot be imported: {error}', advice)
        return
    distribution = os.environ.get('ROS_DISTRO', 'no ROS_DISTRO set')
    yield Finding('ROS', State.OK, f'rclpy from {rclpy.__file__}, {distribution}')
    yield _middleware(implementation)
    for name in ('sensor_msgs', 'diagnostic_msgs', 'std_srvs', 'lifecycle_msgs'):
        if importlib.util.find_spec(name) is None:
            advice = f'apt install ros-<distro>-{name.replace("_", "-")}, or pip install ".[ros]"'
            yield Finding('ROS', State.PROBLEM, f'{name} is missing', advice)
    yield _optional('vision_msgs', 'no ~/label_info is published without it')
    yield _optional('launch_ros', '`ros2 launch` needs it; `ros2 run` and `demo` do not')


def _middleware(identifier: Callable[[], str]) -> Finding:
    discovery = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    try:
        name = identifier()
    except Exception as error:  # the loader raises its own kinds, all mean the same to the user
        advice = f'export AMENT_PREFIX_PATH={sys.prefix}, or source the setup file of ROS'
        return Finding('middleware', State.PROBLEM, f'cannot be loaded: {error}', advice)
    return Finding('middleware', State.OK, f'{name}, domain {domain}, discovery {discovery}')


def _optional(module: str, meaning: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(module, State.NOTE, f'not installed: {meaning}')
    return Finding(module, State.OK, 'installed')


def _backends(student: str) -> Iterator[Finding]:
    # Imported here, so that a missing library is a finding and not the end of the command.
    try:
        from kd_perception.backends import create_backend
        from kd_perception.bundle import load_student
        from kd_perception.resources import student_folder
    except ImportError as error:
        advice = 'see the library above; then pip install . again'
        yield Finding('backends', State.PROBLEM, f'cannot be imported: {error}', advice)
        return
    try:
        loaded = load_student(student_folder(student))
    except KdPerceptionError as error:
        yield Finding('student', State.PROBLEM, str(error), 'reinstall, or pass --student')
        return
    yield Finding('student', State.OK, f'{loaded.spec.name} {loaded.sha256[:12]}')
    works = False
    for name in ('openvino', 'onnxruntime', 'torch'):
        try:
            backend = create_backend(loaded, backend=name, device='cpu')
        except KdPerceptionError as error:
            yield Finding(name, State.NOTE, str(error))
            continue
        works = True
        text = f'{_version(name)}, {backend.precision}, {backend.threads} threads'
        yield Finding(name, State.OK, text)
        backend.close()
    if not works:
        advice = 'pip install openvino onnxruntime'
        yield Finding('backends', State.PROBLEM, 'none can run the student', advice)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return 'unknown version'


def _gpu() -> Finding:
    try:
        from kd_perception.backends import has_cuda

        found = has_cuda()
    except ImportError:
        found = False
    if found:
        return Finding('GPU', State.OK, 'torch sees a CUDA device')
    return Finding('GPU', State.NOTE, 'no CUDA device for torch: nodes run on the CPU')
