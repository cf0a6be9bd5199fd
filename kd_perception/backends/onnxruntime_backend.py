# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU: the fallback from the same file."""

from __future__ import annotations

import numpy as np
import onnxruntime

from kd_perception.backends import BackendChoice, check_output_shape, graph_of
from kd_perception.bundle import Student
from kd_perception.errors import BackendError
from kd_perception.frames import Float32Image

RUNTIME_ERRORS = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
    onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException,
    RuntimeError,
    ValueError,
)


class OnnxRuntimeBackend:
    """A network run by ONNX Runtime; see :class:`kd_perception.backends.Backend`.

    Args:
        student: A verified bundle.
        choice: Backend, precision and threads.

    Raises:
        BackendError: ONNX Runtime refuses the graph, or another precision than fp32 or int8 is
            asked for.
    """

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, student: Student, choice: BackendChoice) -> None:
        if choice.precision not in ('auto', 'fp32', 'int8'):
            raise BackendError(
                'ONNX Runtime on the CPU computes in fp32 or int8; received precision '
                f'{choice.precision}'
            )
        self.precision = 'int8' if choice.precision == 'int8' else 'fp32'
        self.threads = choice.threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = choice.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.use_deterministic_compute = choice.deterministic
        try:
            self._session = onnxruntime.InferenceSession(
                graph_of(student, self.precision), options, providers=['CPUExecutionProvider']
            )
        except RUNTIME_ERRORS as error:
            raise BackendError(f'ONNX Runtime cannot load the network: {error}') from error
        check_output_shape(student, tuple(self._session.get_outputs()[0].shape))
        self._input_name = self._session.get_inputs()[0].name

    def infer(self, image: Float32Image) -> Float32Image:
        """Run the network; see :meth:`kd_perception.backends.Backend.infer`."""
        try:
            outputs = self._session.run(None, {self._input_name: image})
        except RUNTIME_ERRORS as error:
            raise BackendError(f'ONNX Runtime failed on a frame: {error}') from error
        return np.asarray(outputs[0])

    def close(self) -> None:
        """Release the network."""
        del self._session
