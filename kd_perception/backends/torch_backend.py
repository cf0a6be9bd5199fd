# SPDX-License-Identifier: Apache-2.0
"""torch: the numerical reference on the CPU, and the CUDA path."""

from __future__ import annotations

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from kd_perception.backends import BackendChoice, check_output_shape
from kd_perception.bundle import Student
from kd_perception.errors import BackendError, KdPerceptionError
from kd_perception.frames import Float32Image
from kd_perception.models import build_network

_DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def is_cuda_available() -> bool:
    """Tell whether torch sees a CUDA device."""
    return torch.cuda.is_available()


def load_network(student: Student) -> torch.nn.Module:
    """The network of a bundle with its weights, in eval mode, float32 on the CPU.

    Raises:
        BackendError: The weights do not fit the architecture, or it is none that is known.
    """
    try:
        network: torch.nn.Module = build_network(student.spec.architecture)
        network.load_state_dict(load_safetensors(student.weights))
    except (KdPerceptionError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise BackendError(
            f'the weights of {student.spec.name} must fit its architecture: {error}'
        ) from error
    return network.eval().requires_grad_(False)


class TorchBackend:
    """A network run by torch in eager mode; see :class:`kd_perception.backends.Backend`.

    Args:
        student: A verified bundle.
        choice: Device, precision and threads.

    Raises:
        BackendError: The device is missing, or the weights do not fit the architecture.
    """

    name = 'torch'

    def __init__(self, student: Student, choice: BackendChoice) -> None:
        self.device = choice.device
        self.threads = choice.threads
        on_gpu = choice.device != 'cpu'
        if on_gpu and int(choice.device.partition(':')[2]) >= torch.cuda.device_count():
            raise BackendError(
                f'the device {choice.device} must exist; torch sees '
                f'{torch.cuda.device_count()} CUDA devices: set device to auto or cpu'
            )
        if not on_gpu:
            torch.set_num_threads(choice.threads)
        if choice.deterministic:
            torch.use_deterministic_algorithms(True)
        automatic = 'fp16' if on_gpu else 'fp32'
        self.precision = automatic if choice.precision == 'auto' else choice.precision
        if self.precision not in _DTYPES:
            raise BackendError(
                f'torch computes in {", ".join(_DTYPES)}; received precision {self.precision}'
            )
        self._dtype = _DTYPES[self.precision]
        self._network = load_network(student).to(self.device, self._dtype)
        self._check_shape(student)

    def _check_shape(self, student: Student) -> None:
        channels = student.spec.input.channels
        blank = torch.zeros(1, channels, *student.spec.image_size)
        check_output_shape(student, self.infer(blank.numpy()).shape)

    @torch.inference_mode()
    def infer(self, image: Float32Image) -> Float32Image:
        """Run the network; see :meth:`kd_perception.backends.Backend.infer`."""
        try:
            batch = torch.from_numpy(image).to(self.device, self._dtype)
            logits: torch.Tensor = self._network(batch.contiguous())
            return np.asarray(logits.float().cpu().numpy())
        except RuntimeError as error:
            raise BackendError(f'torch failed on a frame: {error}') from error

    def close(self) -> None:
        """Release the network."""
        del self._network
