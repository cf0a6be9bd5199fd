# SPDX-License-Identifier: Apache-2.0
"""What this machine and its Python environment are, for reports and records."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from kd_perception.machine import usable_cores

_DISTRIBUTIONS = {
    'kd_perception': ('kd_perception', 'kd-perception'),
    'NumPy': ('numpy',),
    'OpenCV': ('opencv-python-headless', 'opencv-python', 'opencv-contrib-python', 'opencv'),
    'OpenVINO': ('openvino',),
    'ONNX Runtime': ('onnxruntime',),
    'Numba': ('numba',),
    'rosbags': ('rosbags',),
    'rclpy': ('rclpy',),
}


def environment_versions() -> dict[str, str]:
    """Return names and versions of what took part; what is not installed is left out."""
    versions = {name: _version(candidates) for name, candidates in _DISTRIBUTIONS.items()}
    return {
        'Python': platform.python_version(),
        'system': platform.platform(aliased=True),
        'processor': cpu_name(),
        'cores': str(usable_cores()),
        **{name: version for name, version in versions.items() if version},
    }


def cpu_name() -> str:
    """Return the processor's name as the kernel gives it, or the architecture."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def _version(candidates: tuple[str, ...]) -> str:
    for name in candidates:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ''
