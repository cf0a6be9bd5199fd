# SPDX-License-Identifier: Apache-2.0
"""torch on CUDA: the whole frame on the device, replayed as one graph.

A small network is done before Python has launched its layers one by one, and logits are larger
than the frame and its results together. So the raw samples go up, gain, network, scaling and
reduction run there as one captured graph with fixed shapes and buffers, and the results come down.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch.nn import functional

from kd_perception.backends import BackendChoice
from kd_perception.backends.torch_backend import TorchBackend
from kd_perception.bundle import Student
from kd_perception.errors import BackendError
from kd_perception.frames import Image
from kd_perception.postprocessing import Prediction

_KINDS = {'uint8': torch.uint8, 'uint16': torch.int16, 'float32': torch.float32}
_RUNS_BEFORE_CAPTURE = 3


class TorchCudaBackend(TorchBackend):
    """Frames to predictions on the device; see :class:`kd_perception.backends.FrameBackend`.

    Args:
        student: A verified bundle.
        choice: Device and precision. On the device ``cpu`` nothing is captured: same arithmetic,
            for tests.

    Raises:
        BackendError: As :class:`TorchBackend`.
    """

    def __init__(self, student: Student, choice: BackendChoice) -> None:
        super().__init__(student, choice)
        self._network = self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._size = student.spec.image_size
        self._temperature = student.spec.calibration.temperature
        self._frame_of = lru_cache(maxsize=len(_KINDS))(self._device_frame)

    def _device_frame(self, kind: str) -> _DeviceFrame:
        return _DeviceFrame(
            self._network, self._size, kind, self._temperature, torch.device(self.device),
            self._dtype,
        )  # fmt: skip

    def predict(self, image: Image, low: float, high: float) -> Prediction:
        """Run one frame; see :meth:`kd_perception.backends.FrameBackend.predict`."""
        try:
            return self._frame_of(image.dtype.name).run(image, low, high)
        except RuntimeError as error:
            raise BackendError(f'torch failed on a frame: {error}') from error

    def close(self) -> None:
        """Release the network, its graphs and their buffers."""
        self._frame_of.cache_clear()
        super().close()


class _DeviceFrame:
    """Buffers of one sample type, and the captured graph between them."""

    def __init__(
        self,
        network: torch.nn.Module,
        size: tuple[int, int],
        kind: str,
        temperature: float,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._network, self._dtype, self._temperature = network, dtype, temperature
        self._captures = device.type == 'cuda'
        self._host = torch.zeros(size, dtype=_KINDS[kind], pin_memory=self._captures)
        self._host_window = torch.zeros(2, pin_memory=self._captures)
        self._image = self._host.to(device)
        self._window = self._host_window.to(device)
        self._stream = _new_stream(device) if self._captures else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results = self._compute()
        if self._stream is not None:
            self._capture(self._stream)
        self._host_results = [
            torch.empty(result.shape, dtype=result.dtype, pin_memory=self._captures)
            for result in self._results
        ]

    @torch.inference_mode()
    def _compute(self) -> tuple[torch.Tensor, ...]:
        return frame_results(
            self._network, self._image, self._window, self._temperature, self._dtype
        )

    def _capture(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            for _ in range(_RUNS_BEFORE_CAPTURE):
                self._compute()
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._results = self._compute()

    def run(self, image: Image, low: float, high: float) -> Prediction:
        """Copy up, compute, copy down; the results belong to the caller."""
        self._host.numpy().view(image.dtype)[...] = image
        self._host_window[0], self._host_window[1] = low, 1.0 / (high - low)
        if self._stream is None or self._graph is None:
            self._move_up()
            self._results = self._compute()
            self._move_down()
        else:
            with torch.cuda.stream(self._stream):
                self._move_up()
                self._graph.replay()
                self._move_down()
            self._stream.synchronize()
        mask, confidence, uncertainty, finite = (r.numpy() for r in self._host_results)
        if not finite:
            raise BackendError(
                'the network must return finite logits; torch did not: set precision to fp32'
            )
        return Prediction(mask.copy(), confidence.copy(), uncertainty.copy())

    def _move_up(self) -> None:
        self._image.copy_(self._host, non_blocking=True)
        self._window.copy_(self._host_window, non_blocking=True)

    def _move_down(self) -> None:
        for own, result in zip(self._host_results, self._results, strict=True):
            own.copy_(result, non_blocking=True)


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def frame_results(
    network: torch.nn.Module,
    image: torch.Tensor,
    window: torch.Tensor,
    temperature: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A frame as the pipeline runs it, in operations that can be captured.

    Args:
        network: [1, 1, height, width] to logits at a fraction of the size.
        image: [height, width] uint8, float32, or int16 that holds the bits of uint16.
        window: float32 (low, 1 / (high - low)): samples that become 0, and their scale.
        temperature: Calibration temperature.
        dtype: Of the network.

    Returns:
        Mask uint8, confidence uint8 and uncertainty float32, each [height, width], and whether
        all logits are finite, bool.
    """
    samples = image.to(torch.int32) & 0xFFFF if image.dtype == torch.int16 else image
    gray = torch.nan_to_num(((samples.float() - window[0]) * window[1]).clamp(0.0, 1.0), nan=0.0)
    batch = gray[None, None].to(dtype).contiguous(memory_format=torch.channels_last)
    logits = network(batch).float()
    scores = functional.interpolate(logits, gray.shape, mode='bilinear', align_corners=False)
    top, mask = (scores / temperature).max(dim=1)
    shifted = scores / temperature - top[:, None]
    exponentials = shifted.exp()
    total = exponentials.sum(dim=1)
    entropy = total.log() - (shifted * exponentials).sum(dim=1) / total
    uncertainty = (entropy / math.log(logits.shape[1])).clamp(0.0, 1.0)
    confidence = (255.0 / total + 0.5).to(torch.uint8)
    return mask[0].to(torch.uint8), confidence[0], uncertainty[0], logits.isfinite().all()
