# SPDX-License-Identifier: Apache-2.0
"""Give a student bundle a graph in 8 bit integers, if that changes little enough.

    python -m training.quantize students/thermal_seg_s

Ranges of values are a moving average over rendered frames of the training split. Weights are
scaled per channel to 7 bits: processors without VNNI add two products of a value and a weight in
16 bits and cut what is larger, silently, so that weights of 8 bits would say one thing where they
are measured and another on the robot. That doubles what changes: of thermal_seg_s 0.58 % of the
labels, not 0.31 %.

The first two convolutions stay in floating point: they see the fine steps of the image. For
thermal_seg_s that halves what changes, at a quarter more time. The last one of a depth student
does so too: one step of 255 over the range of its maps is some percent of a depth, while the
largest of some logits stays the largest.

What the int8 graph changes is measured on frames of the validation split: a graph that gives more
than 1 % of the pixels another class, or that changes depth by more than 1 % in the mean or 5 % in
one pixel of a hundred, or sigma by more than 10 %, is refused, and the bundle stays as it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from tqdm import tqdm

from kd_perception.backends import create_backend
from kd_perception.bench.depth_agreement import DepthAgreement
from kd_perception.bench.judging import Verdict, judge
from kd_perception.bundle import Student, load_student, save_student
from kd_perception.bundle_depth import DepthQuantization
from kd_perception.bundle_files import CARD_FILE
from kd_perception.bundle_schema import Quantization
from kd_perception.errors import ConfigError
from kd_perception.frames import Float32Image, Image
from kd_perception.preprocessing import agc_limits, color_network_input, normalize
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.splits import split_seed
from training.student_files import without_traces

CALIBRATION_FRAMES, GATE_FRAMES = 32, 32
KEPT_IN_FP32 = 2


def quantize(student: Student, inputs: list[Float32Image]) -> bytes:
    """The student's graph with convolutions in int8.

    Args:
        student: whose graph.
        inputs: network inputs to take ranges from, float32 [1, 1, height, width].
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, result = (Path(folder) / f'{name}.onnx' for name in ('a', 'b', 'c'))
        plain.write_bytes(student.onnx)
        quant_pre_process(str(plain), str(prepared))
        quantize_static(
            str(prepared),
            str(result),
            _Inputs(prepared, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            nodes_to_exclude=_kept_convolutions(prepared, student.spec.task),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={'CalibMovingAverage': True, 'CalibMovingAverageConstant': 0.05},
        )
        return without_traces(result.read_bytes())


def _kept_convolutions(path: Path, task: str) -> list[str]:
    """Names of the convolutions that stay in fp32; none of a graph that has no others."""
    names = [node.name for node in onnx.load(path).graph.node if node.op_type == 'Conv']
    kept = names[:KEPT_IN_FP32] + (names[-1:] if task == 'depth' else [])
    return kept if len(names) > len(kept) else []


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    """Network inputs as the calibration reads them."""

    def __init__(self, graph: Path, inputs: list[Float32Image]) -> None:
        self._name = onnx.load(graph).graph.input[0].name
        self._inputs: Iterator[Float32Image] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """The next input; None at the end."""
        image = next(self._inputs, None)
        return None if image is None else {self._name: image}


def change(student: Student, onnx_int8: bytes, inputs: list[Float32Image]) -> Verdict:
    """What the int8 graph changes against fp32, in the runtime that robots use it with."""
    both = replace(student, onnx_int8=onnx_int8)
    with ExitStack() as stack:
        quantized, exact = (
            stack.enter_context(
                closing(create_backend(both, backend='openvino', device='cpu', precision=p))
            )
            for p in ('int8', 'fp32')
        )
        return judge(both, quantized, exact, inputs)


def rendered_inputs(student: Student, split: str, count: int) -> list[Float32Image]:
    """Network inputs of rendered frames, at the student's size and as the robot makes them."""
    height, width = student.spec.image_size
    world, seed = WorldConfig(height=height, width=width), split_seed(split, 0)
    field = 'rgb' if student.spec.input.modality == 'rgb' else 'thermal'
    frames = tqdm(range(count), desc=f'render {split}', unit='frame')
    return [
        _network_input(student, getattr(render_frame(world, seed, index, (field,)), field))
        for index in frames
    ]


def _network_input(student: Student, image: Image) -> Float32Image:
    taken = student.spec.input
    if taken.modality == 'rgb':
        return color_network_input(
            image,
            student.spec.image_size,
            mean=taken.mean,
            standard_deviation=taken.standard_deviation,
        )[0]
    gray = normalize(image, *agc_limits(image, student.spec.agc))
    return np.ascontiguousarray(gray)[None, None]


def quantize_bundle(folder: Path, calibration: int, gate: int) -> Quantization | DepthQuantization:
    """Add the int8 graph to a bundle, or replace the one it has.

    Args:
        folder: bundle.
        calibration: frames to take ranges from.
        gate: frames to measure on.

    Raises:
        ConfigError: the int8 graph changes too much, or the student is one of a pair; the bundle
            stays as it was.
    """
    student = load_student(folder)
    if student.second is not None:
        raise ConfigError(
            'a student must stand alone to be quantized, for int8 would be taken for disagreement;'
            f' {student.spec.name} has a second one'
        )
    graph = quantize(student, rendered_inputs(student, 'train', calibration))
    found = change(student, graph, rendered_inputs(student, 'val', gate))
    told = (
        f'{gate} frames of the synthetic validation split',
        f'{calibration} frames of the synthetic training split',
    )
    measured = _measured(student, found, told)
    save_student(
        folder,
        replace(student.spec, quantization=measured),
        onnx=student.onnx,
        weights=student.weights,
        model_card=(folder / CARD_FILE).read_text(encoding='utf-8'),
        onnx_int8=graph,
    )
    return measured


def _measured(
    student: Student, found: Verdict, told: tuple[str, str]
) -> Quantization | DepthQuantization:
    """What goes into the bundle.

    Raises:
        ConfigError: the int8 graph changes too much.
    """
    difference = found.difference
    if not found.passes:
        raise ConfigError(
            f'an int8 graph may change {found.allowed} at most; that of {student.spec.name} '
            f'changes {difference}; the bundle stays as it was'
        )
    if isinstance(difference, DepthAgreement):
        return DepthQuantization(*(round(value, 6) for value in difference.gated), *told)
    return Quantization(round(difference.labels, 6), round(difference.uncertainty, 6), *told)


def main(arguments: list[str] | None = None) -> None:
    """Quantize a bundle."""
    parser = argparse.ArgumentParser(description='Add an int8 graph to a student bundle.')
    parser.add_argument('folder', type=Path, help='bundle')
    parser.add_argument('--calibration', type=int, default=CALIBRATION_FRAMES)
    parser.add_argument('--gate', type=int, default=GATE_FRAMES)
    own = parser.parse_args(arguments)
    found = quantize_bundle(own.folder, own.calibration, own.gate)
    if isinstance(found, DepthQuantization):
        told = (
            f'depth by {found.abs_rel_change:.3%} in the mean, and sigma by '
            f'{found.log_sigma_change:.2%}'
        )
    else:
        told = (
            f'the class of {found.label_change:.3%} of the pixels, and the uncertainty by '
            f'{found.uncertainty_change:.4f}'
        )
    print(f'{own.folder}: int8 changes {told}')


if __name__ == '__main__':
    main()
