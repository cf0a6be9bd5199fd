# SPDX-License-Identifier: Apache-2.0
"""Inference backends: one class each, one protocol, chosen by :func:`create_backend`.

OpenVINO is the default on a CPU, ONNX Runtime the fallback from the same file, torch the numerical
reference on the CPU and, with whole frames on the device, the CUDA path; TensorRT is for those who
ask for it. Nothing falls back silently: what really runs is in the attributes.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, replace
from typing import NamedTuple

from kd_perception.backends.pair import StudentPair
from kd_perception.backends.protocol import Backend, FrameBackend
from kd_perception.bundle import Student
from kd_perception.cuda_driver import device_count
from kd_perception.errors import BackendError, ConfigError
from kd_perception.machine import usable_cores

__all__ = [
    'BACKENDS',
    'PRECISIONS',
    'Backend',
    'BackendChoice',
    'FrameBackend',
    'StudentPair',
    'check_output_shape',
    'choose_backend',
    'create_backend',
    'graph_of',
    'has_cuda',
]

BACKENDS = ('auto', 'openvino', 'onnxruntime', 'torch', 'tensorrt')
PRECISIONS = ('auto', 'fp32', 'bf16', 'fp16', 'int8')


class _Runtime(NamedTuple):
    """What must be installed, and module and class by kind of device; imported when chosen."""

    modules: tuple[str, ...]
    classes: dict[str, tuple[str, str]]


_PACKAGE = 'kd_perception.backends'
_RUNTIMES = {
    'openvino': _Runtime(
        ('openvino',), {'cpu': (f'{_PACKAGE}.openvino_backend', 'OpenVinoBackend')}
    ),
    'onnxruntime': _Runtime(
        ('onnxruntime',), {'cpu': (f'{_PACKAGE}.onnxruntime_backend', 'OnnxRuntimeBackend')}
    ),
    'torch': _Runtime(
        ('torch', 'safetensors'),
        {
            'cpu': (f'{_PACKAGE}.torch_backend', 'TorchBackend'),
            'cuda': (f'{_PACKAGE}.torch_cuda_backend', 'TorchCudaBackend'),
        },
    ),
    'tensorrt': _Runtime(
        ('onnxruntime',), {'cuda': (f'{_PACKAGE}.tensorrt_backend', 'TensorRtBackend')}
    ),
}


@dataclass(frozen=True)
class BackendChoice:
    """What was asked for, with ``auto`` resolved where this machine decides it.

    Attributes:
        name: Backend.
        device: ``cpu`` or ``cuda:N``.
        precision: One of :data:`PRECISIONS`.
        threads: At least 1.
        deterministic: The same input must give the same bits.
    """

    name: str
    device: str
    precision: str
    threads: int
    deterministic: bool = False


def create_backend(
    student: Student,
    *,
    backend: str = 'auto',
    device: str = 'auto',
    precision: str = 'auto',
    threads: int = 0,
    require_gpu: bool = False,
    deterministic: bool = False,
) -> Backend:
    """Load a student's network, and that of its second student, into an inference backend.

    Args:
        student: A verified bundle.
        backend: One of :data:`BACKENDS`; ``auto`` takes torch for CUDA, else OpenVINO, else ONNX
            Runtime; ``tensorrt`` needs an engine (``kd-perception build-engine``).
        device: ``auto`` (CUDA where torch finds one, else the CPU), ``cpu`` or ``cuda:N``.
        precision: One of :data:`PRECISIONS`; ``auto`` is bf16 on a CPU that multiplies bf16
            matrices in hardware, fp16 on CUDA, else fp32. int8 needs a student that has passed its
            gate (``spec.quantization``), and is never chosen by ``auto``.
        threads: CPU threads; 0 for all cores of this process.
        require_gpu: Fail where no GPU can be used.
        deterministic: Give the same bits for the same input in every run, at the price of speed:
            OpenVINO works in one thread, ONNX Runtime and torch take deterministic kernels.

    Raises:
        ConfigError: A value is unknown or values contradict each other.
        BackendError: The backend, device or precision is not available here, or the network cannot
            be loaded.
    """
    choice = choose_backend(backend, device, precision, threads, require_gpu)
    choice = replace(choice, deterministic=deterministic)
    module, kind = _implementation(choice, student)
    try:
        make = getattr(importlib.import_module(module), kind)
    except (ImportError, OSError) as error:
        raise BackendError(
            f'{choice.name} is installed but cannot be loaded: {error}: install it again'
        ) from error
    first: Backend = make(student, choice)
    if student.second is None:
        return first
    try:
        return StudentPair(first, make(student.second, choice))
    except BaseException:
        first.close()
        raise


def _implementation(choice: BackendChoice, student: Student) -> tuple[str, str]:
    """Module and class; whole frames on the device are for masks of thermal images only."""
    classes = _RUNTIMES[choice.name].classes
    whole_frames = student.spec.task == 'segmentation' and student.spec.input.channels == 1
    if choice.name == 'torch' and not whole_frames:
        return classes['cpu']
    return classes[_kind(choice.device)]


def choose_backend(
    backend: str, device: str, precision: str, threads: int, require_gpu: bool
) -> BackendChoice:
    """Resolve ``auto`` without loading anything; arguments and errors as create_backend."""
    _check_known('backend', backend, BACKENDS)
    _check_known('precision', precision, PRECISIONS)
    if device not in ('auto', 'cpu') and not _is_cuda(device):
        raise ConfigError(f'device must be auto, cpu or cuda:N; received {device!r}')
    if threads < 0:
        raise ConfigError(f'threads must be 0 (all cores) or more; received {threads}')
    if device == 'auto':
        device = _default_device(backend)
    if require_gpu and device == 'cpu':
        raise BackendError(
            'require_gpu is true, but no GPU can be used: install torch with CUDA and its driver, '
            'or set require_gpu to false'
        )
    name = _resolve_name(backend, device)
    return BackendChoice(name, device, precision, threads or usable_cores())


def _default_device(backend: str) -> str:
    if backend == 'tensorrt' or (backend in ('auto', 'torch') and has_cuda()):
        return 'cuda:0'
    return 'cpu'


def _kind(device: str) -> str:
    return device.partition(':')[0]


def _resolve_name(backend: str, device: str) -> str:
    if backend == 'auto':
        backend = _default_backend(device)
    runtime = _RUNTIMES[backend]
    if _kind(device) not in runtime.classes:
        raise ConfigError(
            f'backend {backend} runs on {" or ".join(runtime.classes)} only; received device '
            f'{device}'
        )
    if not _is_installed(backend):
        raise BackendError(
            f'the backend {backend} must be installed; Python cannot find it: pip install '
            f'{" ".join(runtime.modules)}'
        )
    return backend


def _default_backend(device: str) -> str:
    if device != 'cpu':
        return 'torch'
    return 'openvino' if _is_installed('openvino') else 'onnxruntime'


def _check_known(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f'{name} must be one of {", ".join(choices)}; received {value!r}')


def _is_cuda(device: str) -> bool:
    kind, _, index = device.partition(':')
    return kind == 'cuda' and index.isascii() and index.isdigit()


def _is_installed(name: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in _RUNTIMES[name].modules)


def has_cuda() -> bool:
    """Tell whether torch can use a CUDA device, without importing torch where there is none."""
    if not _is_installed('torch') or device_count() == 0:
        return False
    from kd_perception.backends.torch_backend import is_cuda_available

    return is_cuda_available()


def graph_of(student: Student, precision: str) -> bytes:
    """Give the ONNX graph for a precision.

    Raises:
        BackendError: int8, and the student has no such graph.
    """
    if precision != 'int8':
        return student.onnx
    if not student.onnx_int8:
        raise BackendError(
            f'{student.spec.name} has no int8 graph: set precision to auto, or quantize it '
            '(python -m training.quantize)'
        )
    return student.onnx_int8


def check_output_shape(student: Student, shape: tuple[int, ...]) -> None:
    """Compare the graph's output with what ``student.yaml`` promises.

    Raises:
        BackendError: They differ.
    """
    expected = student.spec.output_shape
    if tuple(shape) != expected:
        raise BackendError(
            f'the network of {student.spec.name} must return an output of shape {expected}; it '
            f'returns {tuple(shape)}: export the student again'
        )
