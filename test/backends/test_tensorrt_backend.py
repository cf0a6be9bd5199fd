# SPDX-License-Identifier: Apache-2.0
"""TensorRT as far as it can be tested without it: keys, folders, buffers, refusals, the judge."""

from __future__ import annotations

import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from kd_perception import engine_command
from kd_perception.backends import BackendChoice, create_backend, engine_cache
from kd_perception.backends.engine_cache import (
    cache_root,
    engine_folder,
    engine_key,
    fill_engine_folder,
)
from kd_perception.backends.tensorrt_backend import (
    BoundNetwork,
    build_engine,
    create_session,
    engine_precision,
    provider_options,
)
from kd_perception.bundle import load_student
from kd_perception.cuda_driver import CudaDevice, describe_device, device_count
from kd_perception.errors import BackendError, ConfigError

WRITER = 'import pathlib, sys; pathlib.Path(sys.argv[1], "made.engine").write_text("engine")'
KEY = {'graph': 'a', 'gpu': 'some'}


@pytest.fixture
def student(tiny_student_folder):
    return load_student(tiny_student_folder)


@pytest.fixture
def with_gpu(monkeypatch, tmp_path):
    """A driver and a TensorRT that answer; nothing can be run on them."""
    found = {'device': CudaDevice('Orin', '8.7', '12060'), 'tensorrt': '100300'}
    monkeypatch.setattr(engine_cache, 'describe_device', lambda index: found['device'])
    monkeypatch.setattr(engine_cache, 'tensorrt_version', lambda: found['tensorrt'])
    monkeypatch.setenv('KD_PERCEPTION_CACHE', str(tmp_path))
    return found


def folder_of(student, precision='fp16'):
    return engine_folder(student, engine_key(student, precision, 0))


def test_an_engine_is_of_one_graph_gpu_driver_and_version(student, with_gpu):
    first = folder_of(student)
    assert first == folder_of(student)
    others = {folder_of(student, 'fp32')}
    others.add(folder_of(dataclasses.replace(student, onnx=student.onnx + b' ')))
    for change in (
        {'device': CudaDevice('Thor', '8.7', '12060')},
        {'device': CudaDevice('Orin', '9.0', '12060')},
        {'device': CudaDevice('Orin', '8.7', '12080')},
        {'tensorrt': '100400'},
    ):
        before = dict(with_gpu)
        with_gpu.update(change)
        others.add(folder_of(student))
        with_gpu.update(before)
    assert first not in others and len(others) == 6
    assert first.parent == cache_root() and first.name.startswith('tiny_')


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.delenv('KD_PERCEPTION_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_root() == tmp_path / 'kd_perception' / 'engines'
    monkeypatch.setenv('KD_PERCEPTION_CACHE', str(tmp_path / 'own'))
    assert cache_root() == tmp_path / 'own' / 'engines'


def test_a_node_is_told_what_to_run(student, with_gpu):
    with pytest.raises(BackendError, match=r'kd-perception build-engine .*tiny.* --device cuda:1'):
        create_backend(student, backend='tensorrt', device='cuda:1')


def test_it_runs_on_gpus_only_and_in_two_precisions(student, with_gpu):
    with pytest.raises(ConfigError, match='runs on cuda only'):
        create_backend(student, backend='tensorrt', device='cpu')
    with pytest.raises(BackendError, match='fp16 or fp32'):
        create_backend(student, backend='tensorrt', precision='int8')
    assert [engine_precision(name) for name in ('auto', 'fp16', 'fp32')] == [
        'fp16', 'fp16', 'fp32',
    ]  # fmt: skip


@pytest.mark.skipif(device_count() > 0, reason='this machine has a GPU')
def test_without_a_gpu_it_is_refused(student):
    with pytest.raises(BackendError, match='cuda:0 must be a device of the CUDA driver'):
        create_backend(student, backend='tensorrt')
    with pytest.raises(BackendError, match='it offers 0'):
        describe_device(0)


@pytest.mark.skipif(
    'TensorrtExecutionProvider' in onnxruntime.get_available_providers(),
    reason='this ONNX Runtime has TensorRT',
)
def test_an_onnx_runtime_without_it_is_refused(student, tmp_path, with_gpu):
    with pytest.raises(BackendError, match='onnxruntime-gpu'):
        create_session(student.onnx, 0, 'fp16', tmp_path)
    choice = BackendChoice('tensorrt', 'cuda:0', 'fp16', 1)
    with pytest.raises(BackendError, match=r'could not be built: .*onnxruntime-gpu'):
        build_engine(student, choice, lambda: None)
    assert list(cache_root().iterdir()) == []


def test_the_provider_is_told_all():
    options = provider_options(1, 'fp16', cache_root())
    assert options['device_id'] == '1' and options['trt_fp16_enable'] == 'True'
    assert options['trt_engine_cache_path'] == str(cache_root())
    assert provider_options(0, 'fp32', cache_root())['trt_fp16_enable'] == 'False'


def test_bound_buffers_give_what_a_call_gives(student):
    session = onnxruntime.InferenceSession(student.onnx, providers=['CPUExecutionProvider'])
    network = BoundNetwork(session, 'cpu', 0)
    for seed in (0, 1):
        image = np.random.default_rng(seed).random((1, 1, 96, 128), dtype=np.float32)
        expected = session.run(None, {session.get_inputs()[0].name: image})[0]
        np.testing.assert_array_equal(network.run(image), expected)
    with pytest.raises(BackendError, match='failed on a frame'):
        network.run(image[:, :, :32])


def test_an_engine_appears_whole(tmp_path):
    folder, ticks = tmp_path / 'engines' / 'one', []
    command = [sys.executable, '-c', 'import time; time.sleep(0.8);' + WRITER]
    fill_engine_folder(folder, KEY, command, lambda: ticks.append(folder.exists()))
    assert ticks and not any(ticks)
    assert (folder / 'made.engine').read_text() == 'engine'
    assert json.loads((folder / engine_cache.KEY_FILE).read_text()) == KEY
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize('fault', ['fails', 'interrupted'])
def test_a_build_that_does_not_end_leaves_the_old_engine(tmp_path, fault):
    folder = tmp_path / 'one'
    fill_engine_folder(folder, KEY, [sys.executable, '-c', WRITER], lambda: None)
    wanted = BackendError if fault == 'fails' else KeyboardInterrupt

    def tick():
        if fault == 'interrupted':
            raise KeyboardInterrupt

    end = 'sys.exit("no memory")' if fault == 'fails' else 'import time; time.sleep(60)'
    with pytest.raises(wanted) as caught:
        fill_engine_folder(folder, KEY, [sys.executable, '-c', f'{WRITER}; {end}'], tick)
    assert fault == 'interrupted' or 'no memory' in str(caught.value)
    assert (folder / 'made.engine').is_file() and list(tmp_path.iterdir()) == [folder]


class Engine:
    """What stands for an engine: fp32 maps, some of them turned."""

    name, device, precision, threads = 'tensorrt', 'cuda:0', 'fp16', 1

    def __init__(self, network, rows):
        self.network, self.rows = network, rows

    def infer(self, image):
        maps = self.network.infer(image).copy()
        maps[:, :, : self.rows] *= -1.0
        return maps

    def close(self):
        pass


@pytest.mark.parametrize(('rows', 'kept'), [(0, True), (4, False)])
@pytest.mark.parametrize('kind', ['tiny_student', 'tiny_color', 'tiny_depth'])
def test_an_engine_that_changes_too_much_is_removed(
    request, kind, tmp_path, monkeypatch, rows, kept
):
    student = load_student(request.getfixturevalue(f'{kind}_folder'))
    folder = tmp_path / 'engine'
    folder.mkdir()
    network = create_backend(student, backend='onnxruntime', device='cpu')

    def create(student, *, backend, **settings):
        return Engine(network, rows) if backend == 'tensorrt' else network

    monkeypatch.setattr(engine_command, 'create_backend', create)
    choice = SimpleNamespace(name='tensorrt', device='cuda:0', precision='fp16')
    if kept:
        assert max(engine_command.judge(student, choice, folder).difference) == 0.0
    else:
        with pytest.raises(BackendError, match='and was removed'):
            engine_command.judge(student, choice, folder)
    assert folder.exists() == kept
