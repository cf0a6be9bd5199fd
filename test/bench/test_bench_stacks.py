# SPDX-License-Identifier: Apache-2.0
"""The baselines do the same work as the pipeline, and say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made_depth import color_ramp, save_depth_student

from kd_perception.backends import create_backend
from kd_perception.bench.frames import (
    network_input_of,
    percentile_gray,
    ramp_frame,
    street_frames,
)
from kd_perception.bench.stacks import PipelineStack, numpy_prediction, onnx_numpy_stack, pack
from kd_perception.bundle import load_student
from kd_perception.postprocessing import prediction_from_logits
from kd_perception.preprocessing import color_network_input, letterbox
from kd_perception.resources import student_folder


@pytest.fixture
def image():
    rows, columns = np.mgrid[0:96, 0:128]
    return (29000 + 10 * rows + 300 * np.sin(columns / 9)).astype(np.uint16)


def test_onnx_baseline_answers_like_the_pipeline(tiny_student_folder, image):
    student = load_student(tiny_student_folder)
    own = PipelineStack(student, create_backend(student, backend='onnxruntime')).answer(image)
    usual = onnx_numpy_stack(student, threads=1).answer(image)
    assert (own.prediction.mask == usual.prediction.mask).mean() > 0.99
    assert np.abs(own.prediction.uncertainty - usual.prediction.uncertainty).mean() < 0.01
    assert len(np.unique(own.prediction.mask)) > 4


@pytest.fixture(params=['relative', 'meter'])
def depth_student(request, tmp_path):
    depth = {'sigma_unit': request.param, 'max_depth_m': 20.0}
    return load_student(save_depth_student(tmp_path / 'tiny_depth', **depth))


def assert_same_depth(own, usual):
    finite = np.isfinite(own.depth) & np.isfinite(usual.depth)
    assert 0.5 < finite.mean() < 1.0  # what is bright is beyond the range
    assert (np.isposinf(own.depth) == np.isposinf(usual.depth)).mean() > 0.999
    np.testing.assert_allclose(usual.depth[finite], own.depth[finite], rtol=1e-4)
    np.testing.assert_allclose(usual.sigma[finite], own.sigma[finite], rtol=1e-4)
    assert np.isnan(usual.sigma[~np.isfinite(usual.depth)]).all()
    assert np.abs(usual.confidence.astype(int) - own.confidence)[finite].max() <= 1
    assert not usual.confidence[~np.isfinite(usual.depth)].any()


def test_onnx_baseline_tells_the_depth_of_the_pipeline(depth_student):
    backend = create_backend(depth_student, backend='onnxruntime')
    image = color_ramp(0)
    own = PipelineStack(depth_student, backend).answer(image).prediction
    assert_same_depth(own, onnx_numpy_stack(depth_student, threads=1).answer(image).prediction)


def test_torch_reduction_tells_the_depth_of_the_pipeline(depth_student):
    torch = pytest.importorskip('torch')
    from kd_perception.bench.torch_parts import _reduction

    backend = create_backend(depth_student, backend='onnxruntime')
    image = color_ramp(0)
    own = PipelineStack(depth_student, backend).answer(image).prediction
    maps = backend.infer(network_input_of(depth_student)(image))
    assert_same_depth(own, _reduction(depth_student)(torch.from_numpy(maps.copy())))


def test_baselines_see_colors_as_the_pipeline_does(depth_student, tiny_color_folder):
    for student in (depth_student, load_student(tiny_color_folder)):
        image, spec = street_frames(student, 1)[0], student.spec.input
        assert image.dtype == np.uint8 and image.shape == (96, 128, 3)
        assert ramp_frame(student).shape == image.shape
        expected, _ = color_network_input(
            image, (96, 128), mean=spec.mean, standard_deviation=spec.standard_deviation
        )
        np.testing.assert_allclose(network_input_of(student)(image), expected, atol=1e-5)


def test_naive_baseline_answers_like_the_onnx_baseline():
    pytest.importorskip('torch')
    from kd_perception.bench.torch_parts import naive_stack

    student = load_student(student_folder('thermal_seg_s'))
    image = np.random.default_rng(0).integers(29000, 30000, (15, 20)).astype(np.uint16)
    image = np.kron(image, np.ones((32, 32), np.uint16))
    naive, usual = (make(student, 1).answer(image) for make in (naive_stack, onnx_numpy_stack))
    assert (naive.prediction.mask == usual.prediction.mask).mean() > 0.999
    for name, tolerance in (('uncertainty', 1e-4), ('confidence', 1.0)):
        difference = np.abs(
            getattr(naive.prediction, name).astype(float) - getattr(usual.prediction, name)
        )
        assert difference.mean() < tolerance, name


def test_numpy_reduction_is_that_of_the_compiled_pass():
    logits = np.random.default_rng(1).normal(0, 3, (1, 9, 24, 32)).astype(np.float32)
    box = letterbox((96, 128), (96, 128))
    compiled = prediction_from_logits(logits, box, temperature=1.5, size=(96, 128))
    plain = numpy_prediction(logits, (96, 128), 1.5)
    assert (compiled.mask == plain.mask).mean() > 0.9999
    np.testing.assert_allclose(plain.uncertainty, compiled.uncertainty, atol=2e-4)
    assert np.abs(plain.confidence.astype(int) - compiled.confidence).max() <= 1


def test_gain_of_the_baselines_takes_exact_percentiles(image):
    gray = percentile_gray(image)
    assert gray.shape == (1, 1, 96, 128)
    assert 0.005 < (gray == 0.0).mean() < 0.02
    assert 0.005 < (gray == 1.0).mean() < 0.02


@pytest.mark.parametrize('kind', ['tiny_student', 'tiny_color', 'tiny_depth'])
def test_stages_are_parts_of_the_whole(request, kind):
    student = load_student(request.getfixturevalue(f'{kind}_folder'))
    image = ramp_frame(student)
    backend = create_backend(student, backend='onnxruntime', threads=1)
    for stack in (PipelineStack(student, backend), onnx_numpy_stack(student, threads=1)):
        times = stack.answer(image).times
        assert min(times) > 0.0
        assert sum(times[:-1]) <= times.whole * 1.001


def test_packed_bytes_are_those_of_the_images(tiny_student_folder, image):
    student = load_student(tiny_student_folder)
    prediction = onnx_numpy_stack(student, threads=1).answer(image).prediction
    mask, confidence, uncertainty = pack(prediction)
    assert mask.tobytes() == prediction.mask.tobytes()
    assert confidence.tobytes() == prediction.confidence.tobytes()
    assert np.frombuffer(uncertainty, np.float32).reshape(96, 128).max() <= 1.0
