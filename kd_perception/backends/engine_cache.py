# SPDX-License-Identifier: Apache-2.0
"""Where TensorRT engines lie, and how one gets there.

An engine fits one graph, one kind of GPU, one driver and one version of each library; on any other
it is refused or, worse, slow. All of them are its key, so a change of any asks for a new engine.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kd_perception.bundle import Student
from kd_perception.cuda_driver import describe_device
from kd_perception.errors import BackendError
from kd_perception.files import replace_folder

KEY_FILE = 'key.json'
_TICK_S = 0.5
_PRIVATE = 0o700


def cache_root() -> Path:
    """Folder of all engines: ``$KD_PERCEPTION_CACHE``, else the user's cache folder."""
    if own := os.environ.get('KD_PERCEPTION_CACHE'):
        return Path(own).expanduser() / 'engines'
    general = os.environ.get('XDG_CACHE_HOME')
    return (Path(general) if general else Path.home() / '.cache') / 'kd_perception' / 'engines'


def engine_key(student: Student, precision: str, index: int) -> dict[str, str]:
    """All that an engine depends on.

    Args:
        student: Whose graph.
        precision: ``fp16`` or ``fp32``.
        index: Of the CUDA device.

    Raises:
        BackendError: There is no such device, or TensorRT or ONNX Runtime is not installed.
    """
    device = describe_device(index)
    return {
        'graph': hashlib.sha256(student.onnx).hexdigest(),
        'precision': precision,
        'gpu': device.name,
        'capability': device.capability,
        'driver': device.driver,
        'tensorrt': tensorrt_version(),
        'onnxruntime': _onnxruntime_version(),
    }


def engine_folder(student: Student, key: dict[str, str]) -> Path:
    """Where the engine of a key belongs."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_root() / f'{student.spec.name}_{digest[:16]}'


def tensorrt_version() -> str:
    """Version of the TensorRT library that this process would load.

    Raises:
        BackendError: There is none.
    """
    name = ctypes.util.find_library('nvinfer')
    if name is None:
        raise BackendError(
            'TensorRT must be installed and its library libnvinfer on the library path; it cannot '
            'be found: install TensorRT, or choose the backend torch'
        )
    return str(ctypes.CDLL(name).getInferLibVersion())


def _onnxruntime_version() -> str:
    for name in ('onnxruntime-gpu', 'onnxruntime'):
        try:
            return f'{name} {version(name)}'
        except PackageNotFoundError:
            continue
    raise BackendError('ONNX Runtime must be installed: pip install onnxruntime-gpu')


def fill_engine_folder(
    folder: Path, key: dict[str, str], command: Sequence[str], tick: Callable[[], object]
) -> None:
    """Let a process build an engine; the folder appears only when that has succeeded.

    The process is of its own because a build takes minutes inside one call of a library, which
    no interrupt would reach.

    Args:
        folder: Where the engine belongs; an older one there is replaced.
        key: What it depends on, written beside it.
        command: What to run; it gets one more argument, the folder to write to.
        tick: Called twice per second meanwhile.

    Raises:
        BackendError: The process failed; the message says why.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    staged = Path(tempfile.mkdtemp(prefix='.building-', dir=folder.parent))
    try:
        _run(command, staged, tick)
        (staged / KEY_FILE).write_text(json.dumps(key, indent=2) + '\n', encoding='utf-8')
        replace_folder(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _run(command: Sequence[str], staged: Path, tick: Callable[[], object]) -> None:
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as said:
        process = subprocess.Popen([*command, str(staged)], stdout=said, stderr=said)
        try:
            while process.poll() is None:
                tick()
                try:
                    process.wait(_TICK_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            said.seek(0)
            raise BackendError(f'the engine could not be built: {said.read()[-2000:].strip()}')
