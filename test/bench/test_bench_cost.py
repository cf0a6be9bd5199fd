# SPDX-License-Identifier: Apache-2.0
"""Cost of a student against a count in torch, and limits against arithmetic by hand."""

from __future__ import annotations

import pytest

from kd_perception.bench.cost import student_cost
from kd_perception.bench.peaks import Peaks, drift, measure_peaks
from kd_perception.bundle import load_student
from kd_perception.resources import student_folder

PEAKS = Peaks({'fp32': 100.0, 'bf16': 400.0}, 20.0, 100.0)


def test_cost_of_the_shipped_student_is_that_of_its_layers():
    torch = pytest.importorskip('torch')
    from kd_perception.models import build_network

    student = load_student(student_folder('thermal_seg_s'))
    network = build_network(student.spec.architecture)
    products = weights = values = 0

    def count(layer, inputs, output):
        nonlocal products, weights, values
        products += layer.weight.numel() * output[0, 0].numel()
        weights += layer.weight.numel()
        values += layer.weight.numel() + inputs[0].numel() + output.numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, *student.spec.image_size))
    cost = student_cost(student, PEAKS)
    assert cost.parameters == weights
    assert cost.gmac == pytest.approx(products * 1e-9)
    assert cost.values == values
    assert 1e3 * 2 * cost.gmac / 100 <= cost.roofline_ms['fp32']
    assert cost.roofline_ms['bf16'] < cost.roofline_ms['fp32']


def test_roofline_of_one_layer_by_hand(tiny_student_folder):
    cost = student_cost(load_student(tiny_student_folder), PEAKS)
    products, values = 24 * 32 * 9 * 16, 96 * 128 + 24 * 32 * 9 + 9 * 16
    assert cost.gmac == pytest.approx(products * 1e-9)
    arithmetic, memory = 2 * products / 100e9, 4 * values / 20e9
    assert cost.roofline_ms['fp32'] == pytest.approx(1e3 * max(arithmetic, memory))


def test_formats_that_the_machine_does_not_multiply_in_have_no_roofline(tiny_student_folder):
    peaks = Peaks({'fp32': 100.0, 'bf16': 9.0, 'int8': 11.0}, 20.0, 100.0)
    cost = student_cost(load_student(tiny_student_folder), peaks)
    assert cost.roofline_ms.keys() == {'fp32', 'int8'}


def test_measured_peaks_are_of_a_computer():
    peaks = measure_peaks(1)
    assert 1.0 < peaks.gops['fp32'] < 1e5
    assert 0.5 < peaks.dram_gb_s <= 2 * peaks.cache_gb_s


def test_drift_names_what_changed_by_a_fifth():
    assert drift(PEAKS, PEAKS) == []
    slower = Peaks({'fp32': 79.0, 'bf16': 390.0}, 20.0, 10.0)
    assert drift(PEAKS, slower) == ['fp32']
    assert drift(slower, PEAKS) == ['fp32']
    assert drift(PEAKS, PEAKS._replace(dram_gb_s=26.0)) == ['memory']
