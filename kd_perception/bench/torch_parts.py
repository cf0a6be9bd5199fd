# SPDX-License-Identifier: Apache-2.0
"""What the benchmark needs torch for: the naive baseline, and peaks of other number formats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch.nn import functional

from kd_perception.backends import Backend, BackendChoice
from kd_perception.backends.torch_backend import TorchBackend
from kd_perception.bench.stacks import StagedStack, percentile_gray
from kd_perception.bundle import Student
from kd_perception.frames import Float32Image
from kd_perception.models import build_network
from kd_perception.postprocessing import Prediction

GEMM_SIDE = 1024


def reference_backend(student: Student, threads: int) -> Backend:
    """Eager torch in fp32: what agreement is measured against."""
    return TorchBackend(student, BackendChoice('torch', 'cpu', 'fp32', threads))


def naive_stack(student: Student, threads: int) -> StagedStack:
    """Baseline A: exact percentiles, torch in eager mode, softmax and entropy at full size."""
    network = reference_backend(student, threads)
    reduce = _softmax_reduction(student)
    return StagedStack(
        'A',
        'np.percentile, torch eager fp32, torch softmax',
        percentile_gray,
        network.infer,
        lambda logits: reduce(torch.from_numpy(logits)),
    )


def device_stacks(student: Student, device: str) -> list[StagedStack]:
    """The usual ways on a CUDA device in fp16: torch in eager mode, and compiled by inductor."""
    network = build_network(student.spec.architecture)
    network.load_state_dict(load_safetensors(student.weights))
    network = network.eval().to(device, torch.float16)
    reduce = _softmax_reduction(student)

    def stack(name: str, what: str, run: Callable[[torch.Tensor], torch.Tensor]) -> StagedStack:
        @torch.inference_mode()
        def infer(image: Float32Image) -> torch.Tensor:
            logits = run(torch.from_numpy(image).to(device, torch.float16)).float()
            torch.cuda.synchronize(device)
            return logits

        return StagedStack(name, what, percentile_gray, infer, reduce)

    compiled = torch.compile(network, mode='reduce-overhead')
    return [
        stack('torch_eager', 'np.percentile, torch eager fp16, torch softmax', network),
        stack('torch_compile', 'np.percentile, torch.compile fp16, torch softmax', compiled),
    ]


def _softmax_reduction(student: Student) -> Callable[[torch.Tensor], Prediction]:
    """Logits to a prediction as it is written first, on whatever device they are."""
    size, temperature = student.spec.image_size, student.spec.calibration.temperature

    @torch.inference_mode()
    def reduce(logits: torch.Tensor) -> Prediction:
        planes = functional.interpolate(logits, size, mode='bilinear', align_corners=False)
        probability = (planes / temperature).softmax(dim=1)
        confidence, mask = probability.max(dim=1)
        entropy = -(probability * (probability + 1e-12).log()).sum(dim=1)
        uncertainty = entropy / float(np.log(probability.shape[1]))
        return Prediction(
            mask[0].to(torch.uint8).cpu().numpy(),
            (255.0 * confidence[0]).round().to(torch.uint8).cpu().numpy(),
            uncertainty[0].cpu().numpy(),
        )

    return reduce


def matrix_products(threads: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Square matrix products by number format, each with its operations."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    single = torch.randn(2, GEMM_SIDE, GEMM_SIDE, generator=generator)
    half = single.to(torch.bfloat16)
    byte = torch.randint(-127, 127, single.shape, dtype=torch.int8, generator=generator)
    operations = 2 * GEMM_SIDE**3
    return {
        'fp32': (lambda: single[0] @ single[1], operations),
        'bf16': (lambda: half[0] @ half[1], operations),
        'int8': (lambda: torch._int_mm(byte[0], byte[1]), operations),
    }
