# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kd_perception.backends import create_backend
from kd_perception.bundle import Student, load_student
from kd_perception.errors import BackendError, ConfigError
from kd_perception.machine import has_matrix_bf16


@pytest.fixture
def student(tiny_student_folder: Path) -> Student:
    return load_student(tiny_student_folder)


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(1, 1, 96, 128)).astype(np.float32)


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_fp32_gives_the_network_by_hand(student: Student, name: str, image: np.ndarray) -> None:
    backend = create_backend(student, backend=name, precision='fp32', threads=1)
    logits = backend.infer(image)
    assert (backend.name, backend.device, backend.precision, backend.threads) == (
        name, 'cpu', 'fp32', 1,
    )  # fmt: skip
    means = image.reshape(24, 4, 32, 4).mean(axis=(1, 3)) * 8
    levels = np.arange(9, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(logits[0], levels * means - levels**2 / 2, atol=1e-3)


def test_a_second_frame_does_not_reuse_the_first(student: Student, image: np.ndarray) -> None:
    backend = create_backend(student, backend='openvino', precision='fp32')
    first = backend.infer(image).copy()
    second = backend.infer(np.zeros_like(image)).copy()
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(backend.infer(image), first)


def test_auto_is_openvino_with_the_precision_told(student: Student) -> None:
    backend = create_backend(student, device='cpu')
    assert backend.name == 'openvino'
    assert backend.precision == ('bf16' if has_matrix_bf16() else 'fp32')
    assert backend.threads >= 1


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_deterministic_backends_agree_with_themselves(
    student: Student, name: str, image: np.ndarray
) -> None:
    runs = [create_backend(student, backend=name, deterministic=True) for _ in range(2)]
    first, second = (backend.infer(image).tobytes() for backend in runs)
    assert first == second
    assert runs[0].threads == (1 if name == 'openvino' else runs[0].threads)


@pytest.mark.parametrize(
    'values',
    [
        {'backend': 'tensorflow'},
        {'precision': 'int4'},
        {'device': 'gpu'},
        {'device': 'cuda:'},
        {'threads': -1},
        {'backend': 'openvino', 'device': 'cuda:0'},
    ],
)
def test_unknown_or_contradicting_values(student: Student, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        create_backend(student, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(('backend', 'precision'), [('onnxruntime', 'bf16'), ('openvino', 'fp16')])
def test_a_precision_that_is_not_there_is_refused(
    student: Student, backend: str, precision: str
) -> None:
    with pytest.raises(BackendError, match='fp32'):
        create_backend(student, backend=backend, precision=precision)


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_int8_needs_a_graph_of_its_own(student: Student, name: str) -> None:
    with pytest.raises(BackendError, match='tiny has no int8 graph'):
        create_backend(student, backend=name, precision='int8')


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
@pytest.mark.parametrize('graph', [b'', b'not a graph', bytes(1000)])
def test_a_graph_that_is_none(student: Student, name: str, graph: bytes) -> None:
    with pytest.raises(BackendError):
        create_backend(dataclasses.replace(student, onnx=graph), backend=name)


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_wrong_number_of_classes(student: Student, name: str) -> None:
    spec = dataclasses.replace(student.spec, classes=student.spec.classes[:5])
    with pytest.raises(BackendError, match='shape'):
        create_backend(dataclasses.replace(student, spec=spec), backend=name)


def test_torch_needs_weights_of_the_architecture(student: Student) -> None:
    pytest.importorskip('torch')
    with pytest.raises(BackendError, match='architecture'):
        create_backend(student, backend='torch', device='cpu')


def test_a_missing_gpu_is_an_error(student: Student) -> None:
    torch = pytest.importorskip('torch')
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    with pytest.raises(BackendError, match='cuda:0'):
        create_backend(student, device='cuda:0')
    with pytest.raises(BackendError, match='require_gpu'):
        create_backend(student, require_gpu=True)


def test_a_backend_that_cannot_be_imported_is_told(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, 'kd_perception.backends.onnxruntime_backend', raising=False)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setattr('kd_perception.backends._is_installed', lambda name: True)
    with pytest.raises(BackendError, match='cannot be loaded'):
        create_backend(student, backend='onnxruntime')


@pytest.mark.parametrize('hidden', ['openvino', 'onnxruntime'])
def test_missing_backends_are_told(tiny_student_folder: Path, hidden: str) -> None:
    """Without OpenVINO `auto` is ONNX Runtime; a backend asked for by name must be there."""
    script = f"""
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {hidden!r} else real(name, *rest)
from pathlib import Path
from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import BackendError
student = load_student(Path({str(tiny_student_folder)!r}))
print(create_backend(student, device='cpu').name)
try:
    create_backend(student, backend={hidden!r})
except BackendError as error:
    print('pip install' in str(error))
"""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=True
    )
    expected = 'onnxruntime' if hidden == 'openvino' else 'openvino'
    assert done.stdout.split() == [expected, 'True']
