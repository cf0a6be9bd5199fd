# SPDX-License-Identifier: Apache-2.0
"""What a student costs by its graph: weights, products, traffic, and the least time they take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import openvino

from kd_perception.bench.peaks import Peaks
from kd_perception.bundle import Student

BYTES_OF = {'fp32': 4, 'bf16': 2, 'int8': 1}

_EMULATED = 0.1
"""Share of the peak of fp32 below which a format is not one of the machine's."""


class Layer(NamedTuple):
    """A convolution.

    Attributes:
        products: multiplications with their additions.
        weights: of the kernel.
        values: read and written activations.
    """

    products: int
    weights: int
    values: int


class Cost(NamedTuple):
    """What one frame costs.

    Attributes:
        parameters: of all convolution kernels.
        gmac: 10^9 products with their additions.
        values: activations that convolutions read and write, plus their weights.
        roofline_ms: by number format, the least time at the measured peaks: layer by layer the
            longer of arithmetic and memory traffic.
    """

    parameters: int
    gmac: float
    values: int
    roofline_ms: dict[str, float]


def student_cost(student: Student, peaks: Peaks) -> Cost:
    """Read the cost from the graph.

    Formats without a measured peak have no roofline, nor have those that the machine does not
    multiply in: torch then goes number by number, which limits no runtime.
    """
    layers = list(_convolutions(student))
    return Cost(
        parameters=sum(layer.weights for layer in layers),
        gmac=sum(layer.products for layer in layers) * 1e-9,
        values=sum(layer.values + layer.weights for layer in layers),
        roofline_ms={
            name: _roofline_ms(layers, name, peaks)
            for name, gops in peaks.gops.items()
            if gops > peaks.gops['fp32'] * _EMULATED
        },
    )


def _convolutions(student: Student) -> Iterator[Layer]:
    model = openvino.Core().read_model(model=student.onnx)
    for operation in model.get_ops():
        if operation.get_type_name() != 'Convolution':
            continue
        kernel = math.prod(operation.input(1).get_shape())
        output = operation.output(0).get_shape()
        seen = math.prod(operation.input(0).get_shape())
        yield Layer(kernel * math.prod(output[2:]) * output[0], kernel, seen + math.prod(output))


def _roofline_ms(layers: list[Layer], precision: str, peaks: Peaks) -> float:
    width = BYTES_OF[precision]
    return 1e3 * sum(
        max(
            2 * layer.products / (peaks.gops[precision] * 1e9),
            width * (layer.values + layer.weights) / (peaks.dram_gb_s * 1e9),
        )
        for layer in layers
    )
