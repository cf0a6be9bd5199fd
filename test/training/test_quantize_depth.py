# SPDX-License-Identifier: Apache-2.0
"""An int8 graph of depth is part of a bundle only where it changes depth and sigma little."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hand_made_depth import color_ramp, expected_depth
from onnx import TensorProto, helper, numpy_helper

from kd_perception.backends import create_backend
from kd_perception.bench.depth_agreement import DEPTH_GATES, DepthAgreement, depth_agreement
from kd_perception.bench.judging import Verdict
from kd_perception.bundle import load_student
from kd_perception.bundle_depth import MAX_INT8_CHANGE
from kd_perception.errors import ConfigError
from kd_perception.frames import Frame
from kd_perception.pipeline import DepthPipeline
from kd_perception.preprocessing import color_network_input
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.splits import split_seed
from training import quantize as recipe


@pytest.fixture
def folder(tiny_depth_folder, tmp_path):
    return shutil.copytree(tiny_depth_folder, tmp_path / 'tiny_depth')


def inputs_of(student, seeds, brightness=1.0):
    taken = student.spec.input
    return [
        color_network_input(
            (brightness * color_ramp(seed)).astype(np.uint8),
            student.spec.image_size,
            mean=taken.mean,
            standard_deviation=taken.standard_deviation,
        )[0]
        for seed in seeds
    ]


def told_by(*maps):
    """A network that says these logarithms of depth and of sigma, whatever it sees."""
    answer = np.array(maps, np.float32).reshape(1, 2, 1, -1)
    return SimpleNamespace(infer=lambda image: answer)


def test_agreement_by_hand(tiny_depth_folder):
    """Depth 4 % more at one of four pixels; sigma in meters, relative in the network, follows."""
    student, image = load_student(tiny_depth_folder), np.zeros((1, 3, 96, 128), np.float32)
    exact = told_by([0.0, 1.0, 2.0, 3.0], [-3.0, -3.0, -2.0, -1.0])
    other = told_by([0.0, 1.0, 2.0, 3.0 + np.log(1.04)], [-3.0, -3.2, -2.0, -1.0])
    found = depth_agreement(student, other, exact, [image, image])
    assert found.abs_rel == pytest.approx(0.01, rel=1e-4)
    assert found.abs_rel_median == pytest.approx(0.0, abs=1e-6)
    assert found.abs_rel_p99 == pytest.approx(0.04, rel=1e-4)
    assert found.log_sigma == pytest.approx((0.2 + np.log(1.04)) / 4.0, rel=1e-4)
    less = depth_agreement(student, exact, other, [image])
    assert less.abs_rel == pytest.approx((1.0 - 1.0 / 1.04) / 4.0, rel=1e-4)


def test_change_is_measured_against_fp32(tiny_depth_folder):
    student = load_student(tiny_depth_folder)
    inputs = inputs_of(student, range(3))
    graph = recipe.quantize(student, inputs)
    found = recipe.change(student, graph, inputs).difference
    both = replace(student, onnx_int8=graph)
    maps = [
        create_backend(both, backend='openvino', precision=precision, threads=1)
        for precision in ('int8', 'fp32')
    ]
    own, exact = (np.stack([m.infer(i).copy() for i in inputs]).astype(float) for m in maps)
    changed = np.abs(np.exp(own[:, 0, 0]) / np.exp(exact[:, 0, 0]) - 1.0)
    assert 0.0 < found.abs_rel == pytest.approx(changed.mean(), rel=1e-3)
    assert found.abs_rel_p99 == pytest.approx(np.percentile(changed, 99), rel=1e-3)
    assert recipe.change(student, student.onnx, inputs).difference == (0.0, 0.0, 0.0, 0.0)


def network_of_five_convolutions(spec):
    """Four of one pixel each, and one of 4x4 blocks to the maps."""
    rng, nodes, tensors, before = np.random.default_rng(1), [], [], 'image'
    shapes = [(8, 3, 1, 1), (8, 8, 1, 1), (8, 8, 1, 1), (8, 8, 1, 1), (2, 8, 4, 4)]
    for index, shape in enumerate(shapes):
        weight, output = rng.normal(0.0, 0.3, shape).astype(np.float32), f'x{index}'
        tensors.append(numpy_helper.from_array(weight, f'w{index}'))
        nodes.append(
            helper.make_node(
                'Conv', [before, f'w{index}'], [output], f'conv{index}', strides=shape[2:]
            )
        )
        before = output
    image, maps = ([1, 3, *spec.image_size], list(spec.output_shape))
    graph = helper.make_graph(
        nodes,
        'chain',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info(before, TensorProto.FLOAT, maps)],
        tensors,
    )
    opset = [helper.make_opsetid('', 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def test_the_maps_themselves_are_not_rounded_to_steps(tiny_depth_folder):
    """First two convolutions and the last one stay in floating point, the others do not."""
    student = load_student(tiny_depth_folder)
    student = replace(student, onnx=network_of_five_convolutions(student.spec))
    graph = onnx.load_model_from_string(recipe.quantize(student, inputs_of(student, [0]))).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    in_float = [node.name for node in convolutions if node.input[1] in stored]
    assert in_float == ['conv0', 'conv1', 'conv4']
    assert [made_by[n.input[1]].op_type for n in convolutions[2:4]] == ['DequantizeLinear'] * 2
    assert made_by[graph.output[0].name].op_type == 'Conv'


def test_a_bundle_gets_graph_and_measurement_and_the_pipeline_runs_it(folder, monkeypatch):
    before = load_student(folder)
    splits = {'train': range(4), 'val': range(4, 6)}
    monkeypatch.setattr(
        recipe, 'rendered_inputs', lambda student, split, count: inputs_of(student, splits[split])
    )
    found = recipe.quantize_bundle(folder, 4, 2)
    after = load_student(folder)
    assert after.spec == replace(before.spec, quantization=found)
    assert (after.onnx, after.weights) == (before.onnx, before.weights)
    assert 0.0 < found.abs_rel_change < found.abs_rel_change_p99 <= 0.05
    assert '2 frames' in found.measured_on and '4 frames' in found.calibrated_on
    backend = create_backend(after, backend='openvino', precision='int8', threads=1)
    assert backend.precision == 'int8'
    rgb = color_ramp(7)
    result = DepthPipeline(after, backend).step(Frame(rgb, 'rgb8', 10**9), focal_px=100.0)
    depth, _, _ = expected_depth(rgb, 100.0)
    near = np.isfinite(result.depth_m) & (depth < 45.0)
    changed = np.abs(result.depth_m[near] / depth[near] - 1.0)
    assert 0.0 < changed.mean() < 1.5 * MAX_INT8_CHANGE['abs_rel_change']


def test_a_graph_that_changes_too_much_is_refused_and_nothing_is_lost(
    folder, monkeypatch, tiny_pair_folder
):
    """Ranges of dark frames cut what bright ones show."""
    before = load_student(folder).sha256
    brightness = {'train': 0.1, 'val': 1.0}
    monkeypatch.setattr(
        recipe,
        'rendered_inputs',
        lambda student, split, count: inputs_of(student, [0], brightness[split]),
    )
    with pytest.raises(ConfigError, match=r'depth by 1.000% in the mean.* of tiny_depth changes'):
        recipe.quantize_bundle(folder, 1, 1)
    assert load_student(folder).sha256 == before
    assert not (folder / 'student_int8.onnx').exists()
    with pytest.raises(ConfigError, match='must stand alone'):
        recipe.quantize_bundle(tiny_pair_folder, 1, 1)


@pytest.mark.parametrize('name', list(MAX_INT8_CHANGE))
def test_each_limit_of_the_gate_counts(tiny_depth_folder, name):
    student = load_student(tiny_depth_folder)
    limits = MAX_INT8_CHANGE

    def measured(**changes):
        mean, p99, sigma = (limits | changes).values()
        found = DepthAgreement(mean, 0.0, p99, sigma)
        gate = DEPTH_GATES['int8']
        verdict = Verdict(found, found.passes(gate), str(gate))
        return recipe._measured(student, verdict, ('a', 'b'))

    assert measured().log_sigma_change == limits['log_sigma_change']
    for value in (1.01 * limits[name], float('nan')):
        with pytest.raises(ConfigError, match='stays as it was'):
            measured(**{name: value})


def test_inputs_are_rendered_as_the_robot_sees_them(tiny_depth_folder):
    student = load_student(tiny_depth_folder)
    (found,) = recipe.rendered_inputs(student, 'val', 1)
    world = WorldConfig(height=96, width=128)
    rgb = render_frame(world, split_seed('val', 0), 0, ('rgb',)).rgb
    mean, deviation = (
        np.array(v, np.float32)[:, None, None]
        for v in (student.spec.input.mean, student.spec.input.standard_deviation)
    )
    expected = (rgb.transpose(2, 0, 1) / np.float32(255.0) - mean) / deviation
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
