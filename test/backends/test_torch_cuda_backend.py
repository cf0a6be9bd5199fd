# SPDX-License-Identifier: Apache-2.0
"""Whole frames in torch: on the CPU the same arithmetic, on a GPU the captured graph."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from kd_perception.backends import BackendChoice, FrameBackend, create_backend
from kd_perception.backends.torch_cuda_backend import TorchCudaBackend
from kd_perception.bundle import load_student
from kd_perception.errors import BackendError
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline, PipelineConfig
from kd_perception.preprocessing import AgcConfig
from kd_perception.resources import student_folder
from kd_perception.world import WorldConfig, render_frame

UNSEEN_SEED = 79
STEADY = PipelineConfig(agc=AgcConfig(time_constant_s=0.0))


@pytest.fixture(scope='module')
def student():
    return load_student(student_folder('thermal_seg_s'))


@pytest.fixture(scope='module')
def thermal():
    return render_frame(WorldConfig(), UNSEEN_SEED, 0, ('thermal',)).thermal


@pytest.fixture(scope='module')
def reference(student):
    return Pipeline(student, create_backend(student, backend='onnxruntime'), STEADY)


@pytest.fixture(scope='module')
def on_cpu(student):
    backend = TorchCudaBackend(student, BackendChoice('torch', 'cpu', 'fp32', 2))
    assert isinstance(backend, FrameBackend)
    return Pipeline(student, backend, STEADY)


def as_kind(thermal, kind):
    if kind == 'uint8':
        return ((thermal - thermal.min()) / np.ptp(thermal) * 255).astype(np.uint8)
    if kind == 'uint16':
        return thermal + np.uint16(65535 - thermal.max())  # above what an int16 holds
    celsius = thermal.astype(np.float32) / 100 - 273.15
    celsius[:40, :50], celsius[:40, 50:90], celsius[:40, 90:99] = np.nan, -np.inf, np.inf
    return celsius


def compare(own, other, labels):
    assert (own.mask != other.mask).mean() <= labels
    assert np.abs(own.uncertainty - other.uncertainty).mean() <= 5e-3
    assert np.abs(own.confidence.astype(int) - other.confidence).mean() <= 2.0


@pytest.mark.parametrize(
    ('kind', 'encoding'), [('uint8', 'mono8'), ('uint16', 'mono16'), ('float32', '32FC1')]
)
def test_whole_frames_are_those_of_the_pipeline(on_cpu, reference, thermal, kind, encoding):
    frame = Frame(as_kind(thermal, kind), encoding, 1)
    own, other = (pipeline.step(frame, Output.PREDICTION) for pipeline in (on_cpu, reference))
    assert own.timings.postprocess_ms == 0.0 < other.timings.postprocess_ms  # took the other way
    compare(own.prediction, other.prediction, labels=2e-4)
    assert len(np.unique(own.mask)) > 1


def test_results_belong_to_the_caller(on_cpu, thermal):
    first = on_cpu.step(Frame(thermal, 'mono16', 1), Output.PREDICTION).prediction
    kept = first.mask.copy()
    on_cpu.step(Frame(np.ascontiguousarray(thermal[::-1]), 'mono16', 2), Output.PREDICTION)
    np.testing.assert_array_equal(first.mask, kept)


def test_frames_of_another_size_take_the_usual_way(on_cpu, reference, thermal):
    frame = Frame(np.ascontiguousarray(thermal[::2, ::2]), 'mono16', 1)
    own, other = (pipeline.step(frame, Output.PREDICTION) for pipeline in (on_cpu, reference))
    assert own.timings.postprocess_ms > 0.0
    compare(own.prediction, other.prediction, labels=1e-4)


def test_logits_that_are_not_finite_are_refused(student, thermal):
    backend = TorchCudaBackend(student, BackendChoice('torch', 'cpu', 'fp32', 1))
    with torch.no_grad():
        backend._network.head.bias[0] = float('nan')
    with pytest.raises(BackendError, match='finite'):
        backend.predict(thermal, 28000.0, 30000.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('precision', ['fp16', 'fp32'])
def test_captured_graph_passes_the_gate(student, reference, thermal, precision):
    backend = create_backend(student, backend='torch', device='cuda:0', precision=precision)
    pipeline = Pipeline(student, backend, STEADY)
    for image in (thermal, np.ascontiguousarray(thermal[:, ::-1])):
        frame = Frame(image, 'mono16', 1)
        own, other = (p.step(frame, Output.PREDICTION) for p in (pipeline, reference))
        compare(own.prediction, other.prediction, labels=5e-3)
