# SPDX-License-Identifier: Apache-2.0
"""An int8 graph is used where it is asked for, and only where it changes little."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.resources import student_folder
from training import quantize as recipe


@pytest.fixture
def folder(tiny_student_folder, tmp_path):
    return shutil.copytree(tiny_student_folder, tmp_path / 'tiny')


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return [rng.random((1, 1, 96, 128), np.float32) for _ in range(4)]


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_backends_run_the_int8_graph(folder, inputs, name):
    student = load_student(folder)
    student = replace(student, onnx_int8=recipe.quantize(student, inputs))
    backend = create_backend(student, backend=name, precision='int8', threads=1)
    assert backend.precision == 'int8'
    exact = create_backend(student, backend=name, precision='fp32', threads=1)
    found, expected = (b.infer(inputs[0]).copy() for b in (backend, exact))
    scale = np.ptp(expected) / 255
    difference = np.abs(found - expected)
    assert difference.max() > 0.0
    assert np.median(difference) < scale  # the highest values are cut


def test_no_sum_of_two_products_exceeds_16_bits(folder, inputs):
    """As processors without VNNI add them; they cut what is larger."""
    graph = onnx.load_model_from_string(recipe.quantize(load_student(folder), inputs)).graph
    weights = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert weights
    assert all(2 * 255 * np.abs(weight).max() < 2**15 for weight in weights)


def test_automatic_precision_is_never_int8(folder, inputs):
    student = load_student(folder)
    student = replace(student, onnx_int8=recipe.quantize(student, inputs))
    assert create_backend(student, device='cpu').precision in ('fp32', 'bf16')


def test_change_is_measured_against_fp32(folder, inputs):
    student = load_student(folder)
    found = recipe.change(student, recipe.quantize(student, inputs), inputs).difference
    assert found.logits > 0.0 and 0.0 < found.labels < 0.05
    assert recipe.change(student, student.onnx, inputs).difference.labels == 0.0


def test_bundle_gets_graph_and_measurement(tmp_path):
    folder = shutil.copytree(student_folder('thermal_seg_s'), tmp_path / 'student')
    before = load_student(folder)
    found = recipe.quantize_bundle(folder, calibration=6, gate=2)
    after = load_student(folder)
    assert after.spec == replace(before.spec, quantization=found)
    assert (after.onnx, after.weights) == (before.onnx, before.weights)
    assert len(after.onnx_int8) < 0.5 * len(after.onnx)
    assert 0.0 < found.label_change <= 0.01


def test_graph_that_changes_too_much_is_refused_and_nothing_is_lost(folder):
    before = load_student(folder).sha256
    with pytest.raises(ConfigError, match=r'class of 1\.000% of the pixels at most; that of tiny'):
        recipe.quantize_bundle(folder, calibration=2, gate=2)  # its classes lie close together
    assert load_student(folder).sha256 == before
    assert not (folder / 'student_int8.onnx').exists()
