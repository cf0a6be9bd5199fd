# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on the CPU: the default."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import openvino

from kd_perception.backends import BackendChoice, check_output_shape, graph_of
from kd_perception.bundle import Student
from kd_perception.errors import BackendError
from kd_perception.frames import Float32Image
from kd_perception.machine import has_matrix_bf16

_HINTS = {
    'fp32': openvino.Type.f32,
    'bf16': openvino.Type.bf16,
    'int8': openvino.Type.f32,  # of the layers that the graph leaves in floating point
}
_NAMES = {'f32': 'fp32', 'bf16': 'bf16', 'f16': 'fp16'}


class OpenVinoBackend:
    """A network compiled by OpenVINO; see :class:`kd_perception.backends.Backend`.

    Args:
        student: A verified bundle.
        choice: Backend, precision and threads.

    Raises:
        BackendError: OpenVINO refuses the graph, or the precision is not available.
    """

    name = 'openvino'
    device = 'cpu'

    def __init__(self, student: Student, choice: BackendChoice) -> None:
        # The order of sums depends on how the work is split, so one thread does it all.
        self.threads = 1 if choice.deterministic else choice.threads
        try:
            core = _core()
            hint = _precision_hint(core, choice.precision)
            model = core.read_model(model=graph_of(student, choice.precision))
            check_output_shape(student, tuple(model.output(0).shape))
            # The precision is always set: left alone, OpenVINO picks bf16 without saying so.
            compiled = core.compile_model(
                model,
                'CPU',
                {
                    'PERFORMANCE_HINT': 'LATENCY',
                    'NUM_STREAMS': '1',
                    'INFERENCE_NUM_THREADS': self.threads,
                    'INFERENCE_PRECISION_HINT': hint,
                },
            )
            self._request = compiled.create_infer_request()
            self.precision = _precision_used(compiled)
        except RuntimeError as error:
            raise BackendError(f'OpenVINO cannot load the network: {error}') from error

    def infer(self, image: Float32Image) -> Float32Image:
        """Run the network; see :meth:`kd_perception.backends.Backend.infer`."""
        try:
            self._request.infer([image], share_inputs=True)
        except RuntimeError as error:
            raise BackendError(f'OpenVINO failed on a frame: {error}') from error
        return np.asarray(self._request.get_output_tensor(0).data)

    def close(self) -> None:
        """Release the network."""
        del self._request


@lru_cache(maxsize=1)
def _core() -> openvino.Core:
    """Keep one core for the life of the process.

    Its threads set signal stacks that must not go away with a network: a signal that arrives
    later would end the process.
    """
    return openvino.Core()


def _precision_used(compiled: openvino.CompiledModel) -> str:
    """Read back what most convolutions are computed in, and else what was set."""
    kinds = [
        operation.get_rt_info()['runtimePrecision'].astype(str)
        for operation in compiled.get_runtime_model().get_ops()
        if operation.get_rt_info()['layerType'].astype(str) == 'Convolution'
    ]
    if sum(kind in ('i8', 'u8') for kind in kinds) > len(kinds) / 2:
        return 'int8'
    used = compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name()
    return str(_NAMES.get(used, used))


def _precision_hint(core: openvino.Core, precision: str) -> openvino.Type:
    """Choose bf16 where the CPU multiplies matrices in it, else fp32."""
    capabilities = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    if precision == 'auto':
        precision = 'bf16' if 'BF16' in capabilities and has_matrix_bf16() else 'fp32'
    if precision not in _HINTS or (precision == 'bf16' and 'BF16' not in capabilities):
        available = 'fp32, bf16 or int8' if 'BF16' in capabilities else 'fp32 or int8'
        raise BackendError(
            f'OpenVINO on this CPU computes in {available}; received precision {precision}'
        )
    return _HINTS[precision]
