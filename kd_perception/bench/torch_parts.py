# SPDX-License-Identifier: Apache-2.0
"""What the benchmark needs torch for: the naive baseline, and peaks of other number formats."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch.nn import functional

from kd_perception.backends import Backend, BackendChoice
from kd_perception.backends.torch_backend import TorchBackend
from kd_perception.bench.frames import network_input_of
from kd_perception.bench.stacks import StagedStack, Told, depth_range_m, usual_input_name
from kd_perception.bundle import Student
from kd_perception.bundle_depth import DepthSpec
from kd_perception.depth_postprocessing import DepthPrediction
from kd_perception.frames import Float32Image
from kd_perception.models import build_network
from kd_perception.postprocessing import Prediction

GEMM_SIDE = 1024


def reference_backend(student: Student, threads: int) -> Backend:
    """Eager torch in fp32: what agreement is measured against."""
    return TorchBackend(student, BackendChoice('torch', 'cpu', 'fp32', threads))


def naive_stack(student: Student, threads: int) -> StagedStack:
    """Baseline A: exact gain, torch in eager mode, everything after it in torch at full size."""
    network = reference_backend(student, threads)
    reduce = _reduction(student)
    return StagedStack(
        'A',
        f'{usual_input_name(student)}, torch eager fp32, torch',
        network_input_of(student),
        network.infer,
        lambda maps: reduce(torch.from_numpy(maps)),
    )


def device_stacks(student: Student, device: str) -> list[StagedStack]:
    """The usual ways on a CUDA device in fp16: torch in eager mode, and compiled by inductor."""
    network = build_network(student.spec.architecture)
    network.load_state_dict(load_safetensors(student.weights))
    network = network.eval().to(device, torch.float16)
    reduce, prepare = _reduction(student), network_input_of(student)
    before = usual_input_name(student)

    def stack(name: str, what: str, run: Callable[[torch.Tensor], torch.Tensor]) -> StagedStack:
        @torch.inference_mode()
        def infer(image: Float32Image) -> torch.Tensor:
            maps = run(torch.from_numpy(image).to(device, torch.float16)).float()
            torch.cuda.synchronize(device)
            return maps

        return StagedStack(name, f'{before}, {what} fp16, torch', prepare, infer, reduce)

    compiled = torch.compile(network, mode='reduce-overhead')
    return [
        stack('torch_eager', 'torch eager', network),
        stack('torch_compile', 'torch.compile', compiled),
    ]


def _reduction(student: Student) -> Callable[[torch.Tensor], Told]:
    """From the network's maps to a prediction as it is written first, on whatever device."""
    spec = student.spec
    if spec.depth is not None:
        return _depth_reduction(spec.image_size, spec.depth)
    return _softmax_reduction(spec.image_size, spec.calibration.temperature)


def _softmax_reduction(
    size: tuple[int, int], temperature: float
) -> Callable[[torch.Tensor], Prediction]:
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


def _depth_reduction(
    size: tuple[int, int], spec: DepthSpec
) -> Callable[[torch.Tensor], DepthPrediction]:
    low, high = depth_range_m(spec)

    @torch.inference_mode()
    def reduce(maps: torch.Tensor) -> DepthPrediction:
        planes = functional.interpolate(maps, size, mode='bilinear', align_corners=False)[0]
        depth, share = planes.exp()
        if spec.sigma_unit == 'meter':
            share = share / depth
        sigma = math.sqrt(2.0) * spec.calibration.scale * share * depth
        sure = -torch.expm1(-0.1 / (spec.calibration.confidence_scale * share))
        known = (depth >= low) & (depth <= high)
        depth = depth.masked_fill(depth > high, math.inf).masked_fill(depth < low, -math.inf)
        return DepthPrediction(
            depth.cpu().numpy(),
            sigma.masked_fill(~known, math.nan).cpu().numpy(),
            (255.0 * sure * known).round().to(torch.uint8).cpu().numpy(),
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
