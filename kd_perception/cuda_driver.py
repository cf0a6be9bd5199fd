# SPDX-License-Identifier: Apache-2.0
"""What the CUDA driver tells about its devices, without a CUDA library of our own."""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path
from typing import NamedTuple

from kd_perception.errors import BackendError

_NAME_BYTES = 256
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_DRIVER_FILES = (Path('/sys/module/nvidia/version'), Path('/etc/nv_tegra_release'))


class CudaDevice(NamedTuple):
    """One device.

    Attributes:
        name: As the driver names it.
        capability: Compute capability, such as ``8.7``.
        driver: Version of the driver, as far as it can be read.
    """

    name: str
    capability: str
    driver: str


def device_count() -> int:
    """Number of CUDA devices that the driver offers; 0 without a driver."""
    driver = _driver()
    if driver is None:
        return 0
    count = ctypes.c_int(0)
    return 0 if driver.cuDeviceGetCount(ctypes.byref(count)) else count.value


def describe_device(index: int) -> CudaDevice:
    """Ask the driver about one device.

    Args:
        index: 0 for the first.

    Raises:
        BackendError: There is no such device.
    """
    driver, device = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGet(ctypes.byref(device), index):
        raise BackendError(
            f'cuda:{index} must be a device of the CUDA driver; it offers {device_count()}: '
            'install the driver, or choose the device cpu'
        )
    name = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    capability = (_attribute(driver, k, device) for k in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR))
    return CudaDevice(
        name.value.decode(errors='replace'),
        '.'.join(str(part) for part in capability),
        _driver_version(driver),
    )


def _driver() -> ctypes.CDLL | None:
    """The driver, ready to be asked; None where there is none."""
    name = ctypes.util.find_library('cuda')
    if name is None:
        return None
    try:
        driver = ctypes.CDLL(name)
        return None if driver.cuInit(0) else driver
    except (OSError, AttributeError):  # a stub, or a library of that name that is none
        return None


def _attribute(driver: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value


def _driver_version(driver: ctypes.CDLL) -> str:
    """The CUDA version it offers, and its own where the system tells."""
    offered = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(offered))
    for path in _DRIVER_FILES:
        try:
            return f'{offered.value} {path.read_text(errors="replace").splitlines()[0].strip()}'
        except (OSError, IndexError):
            continue
    return str(offered.value)
