# SPDX-License-Identifier: Apache-2.0
"""Give a student bundle a graph in 8 bit integers, if that changes little enough.

    python -m training.quantize students/thermal_seg_s

Ranges of values are a moving average over rendered frames of the training split, weights are
scaled per channel. The first two convolutions stay in floating point: they see the fine steps of
the image. For the shipped student that halves what changes, at a quarter more time.
What the int8 graph changes is measured on frames of the validation split: a graph that gives more
than 1 % of the pixels another class is refused, and the bundle stays as it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
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
from kd_perception.bench.agreement import GATES, Agreement, agreement
from kd_perception.bundle import Student, load_student, save_student
from kd_perception.bundle_files import CARD_FILE
from kd_perception.bundle_schema import Quantization
from kd_perception.errors import ConfigError
from kd_perception.frames import Float32Image
from kd_perception.preprocessing import agc_limits, normalize
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
            nodes_to_exclude=_first_convolutions(prepared, KEPT_IN_FP32),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={'CalibMovingAverage': True, 'CalibMovingAverageConstant': 0.05},
        )
        return without_traces(result.read_bytes())


def _first_convolutions(path: Path, count: int) -> list[str]:
    """Names of the first convolutions; none of a graph that has no others."""
    names = [node.name for node in onnx.load(path).graph.node if node.op_type == 'Conv']
    return names[:count] if len(names) > count else []


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    """Network inputs as the calibration reads them."""

    def __init__(self, graph: Path, inputs: list[Float32Image]) -> None:
        self._name = onnx.load(graph).graph.input[0].name
        self._inputs: Iterator[Float32Image] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """The next input; None at the end."""
        image = next(self._inputs, None)
        return None if image is None else {self._name: image}


def change(student: Student, onnx_int8: bytes, inputs: list[Float32Image]) -> Agreement:
    """What the int8 graph changes against fp32, in the runtime that robots use it with."""
    both = replace(student, onnx_int8=onnx_int8)
    backends = [
        create_backend(both, backend='openvino', device='cpu', precision=precision)
        for precision in ('int8', 'fp32')
    ]
    try:
        return agreement(both, *backends, inputs)
    finally:
        for backend in backends:
            backend.close()


def rendered_inputs(student: Student, split: str, count: int) -> list[Float32Image]:
    """Network inputs of rendered frames, at the student's size and by its gain control."""
    height, width = student.spec.image_size
    world, seed = WorldConfig(height=height, width=width), split_seed(split, 0)
    inputs = []
    for index in tqdm(range(count), desc=f'render {split}', unit='frame'):
        thermal = render_frame(world, seed, index, ('thermal',)).thermal
        gray = normalize(thermal, *agc_limits(thermal, student.spec.agc))
        inputs.append(np.ascontiguousarray(gray)[None, None])
    return inputs


def quantize_bundle(folder: Path, calibration: int, gate: int) -> Quantization:
    """Add the int8 graph to a bundle, or replace the one it has.

    Args:
        folder: bundle.
        calibration: frames to take ranges from.
        gate: frames to measure on.

    Raises:
        ConfigError: the int8 graph changes too much; the bundle stays as it was.
    """
    student = load_student(folder)
    graph = quantize(student, rendered_inputs(student, 'train', calibration))
    found = change(student, graph, rendered_inputs(student, 'val', gate))
    if not found.passes(GATES['int8']):
        raise ConfigError(
            f'an int8 graph must give at most {GATES["int8"].labels:.0%} of the pixels another '
            f'class, that of {student.spec.name} gives {found.labels:.2%}; the bundle stays as '
            'it was'
        )
    measured = Quantization(
        label_change=round(found.labels, 6),
        uncertainty_change=round(found.uncertainty, 6),
        measured_on=f'{gate} frames of the synthetic validation split',
        calibrated_on=f'{calibration} frames of the synthetic training split',
    )
    save_student(
        folder,
        replace(student.spec, quantization=measured),
        onnx=student.onnx,
        weights=student.weights,
        model_card=(folder / CARD_FILE).read_text(encoding='utf-8'),
        onnx_int8=graph,
        second=student.second,
    )
    return measured


def main(arguments: list[str] | None = None) -> None:
    """Quantize a bundle."""
    parser = argparse.ArgumentParser(description='Add an int8 graph to a student bundle.')
    parser.add_argument('folder', type=Path, help='bundle')
    parser.add_argument('--calibration', type=int, default=CALIBRATION_FRAMES)
    parser.add_argument('--gate', type=int, default=GATE_FRAMES)
    own = parser.parse_args(arguments)
    found = quantize_bundle(own.folder, own.calibration, own.gate)
    print(
        f'{own.folder}: int8 gives {found.label_change:.3%} of the pixels another class, and '
        f'moves the uncertainty by {found.uncertainty_change:.4f}'
    )


if __name__ == '__main__':
    main()
