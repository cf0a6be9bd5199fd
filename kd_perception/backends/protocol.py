# SPDX-License-Identifier: Apache-2.0
"""What every backend is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from kd_perception.frames import Float32Image, Image
from kd_perception.postprocessing import Prediction


class Backend(Protocol):
    """Runs a student's network.

    Attributes:
        name: ``openvino``, ``onnxruntime``, ``torch`` or ``tensorrt``.
        device: The device really used, ``cpu`` or ``cuda:N``.
        precision: The precision really used, read back from the compiled network where possible.
        threads: Worker threads on the CPU.
    """

    name: str
    device: str
    precision: str
    threads: int

    def infer(self, image: Float32Image) -> Float32Image:
        """Run the network.

        Args:
            image: (1, channels, height, width) float32 in 0 to 1, of the student's input size.

        Returns:
            Logits (1, classes, h, w) float32, valid until the next call.

        Raises:
            BackendError: The run failed.
        """

    def close(self) -> None:
        """Release the network; the backend cannot be used afterwards."""


@runtime_checkable
class FrameBackend(Backend, Protocol):
    """A backend that takes raw frames of the student's size and answers with predictions."""

    def predict(self, image: Image, low: float, high: float) -> Prediction:
        """Run gain, network, scaling and reduction on the device.

        Args:
            image: HxW uint8, uint16 or float32, of the student's input size.
            low: Raw value that becomes 0.
            high: Raw value that becomes 1, above ``low``.

        Raises:
            BackendError: The run failed, or logits are not finite.
        """
