# SPDX-License-Identifier: Apache-2.0
"""TensorRT through ONNX Runtime, on engines that ``kd-perception build-engine`` has built.

Building takes minutes, too long for a node that is being configured: without an engine for just
this graph, GPU, driver and libraries the backend refuses, and says what to run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from kd_perception.backends import BackendChoice, check_output_shape
from kd_perception.backends.engine_cache import engine_folder, engine_key, fill_engine_folder
from kd_perception.backends.onnxruntime_backend import RUNTIME_ERRORS
from kd_perception.bundle import Student, load_student
from kd_perception.errors import BackendError, KdPerceptionError
from kd_perception.frames import Float32Image


class TensorRtBackend:
    """A network run as a TensorRT engine; see :class:`kd_perception.backends.Backend`.

    Args:
        student: A verified bundle.
        choice: Device and precision; ``auto`` is fp16.

    Raises:
        BackendError: No engine was built for this machine, TensorRT refuses it, or another
            precision than fp16 or fp32 is asked for.
    """

    name = 'tensorrt'

    def __init__(self, student: Student, choice: BackendChoice) -> None:
        self.precision = engine_precision(choice.precision)
        self.device, self.threads = choice.device, choice.threads
        index = int(choice.device.partition(':')[2])
        folder = engine_folder(student, engine_key(student, self.precision, index))
        if not folder.is_dir():
            raise BackendError(
                f'{student.spec.name} must have an engine for this GPU, driver and libraries; '
                f'{folder} does not exist: kd-perception build-engine {student.folder} '
                f'--device {choice.device} --precision {self.precision}'
            )
        session = create_session(student.onnx, index, self.precision, folder)
        check_output_shape(student, tuple(session.get_outputs()[0].shape))
        self._network = BoundNetwork(session, 'cuda', index)

    def infer(self, image: Float32Image) -> Float32Image:
        """Run the network; see :meth:`kd_perception.backends.Backend.infer`."""
        return self._network.run(image)

    def close(self) -> None:
        """Release the engine and its buffers."""
        del self._network


class BoundNetwork:
    """A session between two buffers that stay where they are, as a captured graph needs them.

    Args:
        session: Of a network with one input and one output of fixed shapes.
        device: ``cuda``, or ``cpu``, for tests.
        index: Of the device.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str, index: int) -> None:
        (source,), (result,) = session.get_inputs(), session.get_outputs()
        create = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        self._session = session
        self._input = create(source.shape, np.float32, device, index)
        self._output = create(result.shape, np.float32, device, index)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(source.name, self._input)
        self._binding.bind_ortvalue_output(result.name, self._output)

    def run(self, image: Float32Image) -> Float32Image:
        """Give the network's output for an input.

        Raises:
            BackendError: The run failed.
        """
        try:
            self._input.update_inplace(image)
            self._session.run_with_iobinding(self._binding)
            return np.asarray(self._output.numpy())
        except RUNTIME_ERRORS as error:
            raise BackendError(f'TensorRT failed on a frame: {error}') from error


def engine_precision(precision: str) -> str:
    """Resolve ``auto``.

    Raises:
        BackendError: TensorRT is not offered in this precision.
    """
    if precision not in ('auto', 'fp16', 'fp32'):
        raise BackendError(f'TensorRT computes in fp16 or fp32; received precision {precision}')
    return 'fp16' if precision == 'auto' else precision


def create_session(
    onnx: bytes, index: int, precision: str, folder: Path
) -> onnxruntime.InferenceSession:
    """Load a graph with the engine in a folder, or build the engine into it.

    Args:
        onnx: The graph.
        index: Of the CUDA device.
        precision: ``fp16`` or ``fp32``.
        folder: Of the engine.

    Raises:
        BackendError: ONNX Runtime has no TensorRT here, or TensorRT cannot run all of the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry('session.disable_cpu_ep_fallback', '1')
    if 'TensorrtExecutionProvider' not in onnxruntime.get_available_providers():
        raise BackendError(
            'ONNX Runtime must have been built with TensorRT; the one installed was not: '
            'pip install onnxruntime-gpu'
        )
    try:
        return onnxruntime.InferenceSession(
            onnx,
            options,
            providers=[('TensorrtExecutionProvider', provider_options(index, precision, folder))],
        )
    except RUNTIME_ERRORS as error:
        raise BackendError(f'TensorRT cannot load the network: {error}') from error


def provider_options(index: int, precision: str, folder: Path) -> dict[str, str]:
    """What ONNX Runtime is told about TensorRT; arguments as `create_session`."""
    return {
        'device_id': str(index),
        'trt_fp16_enable': str(precision == 'fp16'),
        'trt_engine_cache_enable': 'True',
        'trt_engine_cache_path': str(folder),
        'trt_timing_cache_enable': 'True',
        'trt_timing_cache_path': str(folder),
        'trt_cuda_graph_enable': 'True',
    }


def build_engine(student: Student, choice: BackendChoice, tick: Callable[[], object]) -> Path:
    """Build the engine of a student for a device of this machine.

    Args:
        student: A verified bundle.
        choice: Device and precision.
        tick: Called twice per second meanwhile.

    Returns:
        The folder of the engine.

    Raises:
        BackendError: As :class:`TensorRtBackend`, or the build failed.
    """
    precision = engine_precision(choice.precision)
    index = choice.device.partition(':')[2]
    key = engine_key(student, precision, int(index))
    folder = engine_folder(student, key)
    module = 'kd_perception.backends.tensorrt_backend'
    command = [sys.executable, '-m', module, str(student.folder), index, precision]
    fill_engine_folder(folder, key, command, tick)
    return folder


def _main(student: str, index: str, precision: str, folder: str) -> None:
    loaded = load_student(Path(student))
    session = create_session(loaded.onnx, int(index), precision, Path(folder))
    height, width = loaded.spec.image_size
    image = np.zeros((1, loaded.spec.input.channels, height, width), np.float32)
    BoundNetwork(session, 'cuda', int(index)).run(image)  # an engine may be built only now


if __name__ == '__main__':
    try:
        _main(*sys.argv[1:])
    except KdPerceptionError as error:
        sys.exit(str(error))
