# SPDX-License-Identifier: Apache-2.0
"""The gates: what a backend may change, on the shipped student and rendered frames."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.backends import create_backend
from kd_perception.bench.agreement import GATES, Agreement, agreement
from kd_perception.bench.depth_agreement import DEPTH_GATES, DepthAgreement
from kd_perception.bench.frames import percentile_gray
from kd_perception.bench.judging import judge
from kd_perception.bundle import load_student
from kd_perception.errors import BackendError
from kd_perception.resources import student_folder
from kd_perception.world import WorldConfig, render_frame

UNSEEN_SEED = 78


@pytest.fixture(scope='module')
def student():
    return load_student(student_folder('thermal_seg_s'))


@pytest.fixture(scope='module')
def inputs():
    frames = (render_frame(WorldConfig(), UNSEEN_SEED, i, ('thermal',)) for i in range(4))
    return [percentile_gray(frame.thermal) for frame in frames]


@pytest.fixture(scope='module')
def reference(student):
    torch_parts = pytest.importorskip('kd_perception.bench.torch_parts')
    return torch_parts.reference_backend(student, threads=2)


@pytest.mark.parametrize(
    ('name', 'precision'),
    [('openvino', 'fp32'), ('openvino', 'bf16'), ('openvino', 'int8'), ('onnxruntime', 'fp32')],
)
def test_backend_passes_the_gate_of_its_precision(student, inputs, reference, name, precision):
    try:
        backend = create_backend(student, backend=name, device='cpu', precision=precision)
    except BackendError as error:
        pytest.skip(str(error))
    assert backend.precision == precision
    found = agreement(student, backend, reference, inputs)
    assert found.passes(GATES[precision]), found
    assert precision == 'fp32' or found.labels > 0.0  # the other format was really used


class Shifted:
    """A backend whose logits are off by a number."""

    def __init__(self, backend, by):
        self._backend, self._by = backend, by
        self.precision = 'fp32'

    def infer(self, image):
        logits = self._backend.infer(image).copy()
        logits[:, 1] += self._by
        return logits


def test_a_backend_that_is_off_fails(student, inputs, reference):
    same = agreement(student, Shifted(reference, 0.0), reference, inputs[:1])
    assert same == (0.0, 0.0, 0.0, 0.0)
    off = agreement(student, Shifted(reference, 2.0), reference, inputs[:1])
    assert off.logits == pytest.approx(2.0, abs=1e-5)
    assert off.labels > GATES['bf16'].labels
    assert not off.passes(GATES['bf16'])
    told = judge(student, Shifted(reference, 2.0), reference, inputs[:1])
    assert told.difference == off and not told.passes
    assert told.allowed == 'the class of 0.010% of the pixels and the uncertainty by 0.0010'


@pytest.mark.parametrize('field', ['logits', 'labels', 'uncertainty'])
def test_each_limit_counts(field):
    gate = GATES['fp32']
    at_limit = Agreement(*gate, uncertainty_max=1.0)
    assert at_limit.passes(gate)
    assert not at_limit._replace(**{field: getattr(gate, field) * 1.01}).passes(gate)


@pytest.mark.parametrize('by', [0.0, 0.003])
def test_depth_is_judged_by_its_own_gate(tiny_depth_folder, by):
    student = load_student(tiny_depth_folder)
    exact = create_backend(student, backend='onnxruntime', device='cpu')
    image = np.random.default_rng(0).normal(size=(1, 3, 96, 128)).astype(np.float32)
    found = judge(student, Shifted(exact, by), exact, [image])  # the logarithm of sigma is off
    assert found.difference.log_sigma == pytest.approx(by, rel=1e-3)
    assert found.difference.abs_rel == 0.0
    assert found.passes == (by == 0.0)
    assert found.allowed == (
        'depth by 0.010% in the mean, 0.100% in 99 of 100 pixels, sigma by 0.100%'
    )


@pytest.mark.parametrize('field', ['abs_rel', 'abs_rel_p99', 'log_sigma'])
def test_each_limit_of_depth_counts(field):
    gate = DEPTH_GATES['fp16']
    at_limit = DepthAgreement(gate.abs_rel, 1.0, gate.abs_rel_p99, gate.log_sigma)
    assert at_limit.passes(gate) and at_limit.gated == gate
    for value in (1.01 * getattr(gate, field), float('nan')):
        assert not at_limit._replace(**{field: value}).passes(gate)


def test_gates_are_those_of_the_documentation():
    assert GATES['fp32'][:2] == (1e-3, 1e-4)
    assert GATES['bf16'][1:] == (5e-3, 5e-3)
    assert GATES['int8'].labels == 1e-2
    assert np.isinf(GATES['bf16'].logits)
