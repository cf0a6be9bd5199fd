# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kd_perception import bundle as bundle_module
from kd_perception import bundle_files
from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_schema import Quantization, StudentSpec, spec_from_mapping
from kd_perception.errors import BundleError


@pytest.fixture
def folder(tiny_student_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_student_folder, tmp_path / 'copy'))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / 'student.yaml'
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document))


def test_what_is_saved_is_loaded(folder: Path, tiny_student_spec: StudentSpec) -> None:
    student = load_student(folder)
    assert student.spec == tiny_student_spec
    assert student.onnx == (folder / 'student.onnx').read_bytes()
    assert load_student(folder, sha256=student.sha256.upper()).sha256 == student.sha256
    assert student.palette[3].tolist() == list(tiny_student_spec.classes[3].color)
    assert student.palette[200].tolist() == [0, 0, 0]


def test_saving_again_replaces_the_whole_bundle(
    folder: Path, tiny_student_spec: StudentSpec
) -> None:
    before = load_student(folder).sha256
    after = save_student(folder, tiny_student_spec, onnx=b'1', weights=b'2', model_card='new')
    assert after != before
    assert load_student(folder, sha256=after).onnx == b'1'
    assert [path.name for path in folder.parent.iterdir()] == ['copy']


def test_a_folder_that_is_no_bundle_is_never_replaced(
    tmp_path: Path, tiny_student_spec: StudentSpec
) -> None:
    (tmp_path / 'thesis.txt').write_text('years of work')
    with pytest.raises(BundleError, match='something else'):
        save_student(tmp_path, tiny_student_spec, onnx=b'', weights=b'', model_card='')
    assert (tmp_path / 'thesis.txt').exists()


@pytest.mark.parametrize(
    'name', ['student.onnx', 'student.safetensors', 'MODEL_CARD.md', 'student.yaml']
)
def test_missing_truncated_and_unreadable_files(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    sha256 = load_student(folder).sha256
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match='SHA-256'):
        load_student(folder, sha256=sha256)
    (folder / name).unlink()
    with pytest.raises(BundleError, match='readable'):
        load_student(folder)
    (folder / name).mkdir()
    with pytest.raises(BundleError, match='readable'):
        load_student(folder)


def test_one_changed_bit_is_found(folder: Path) -> None:
    data = bytearray((folder / 'student.onnx').read_bytes())
    data[len(data) // 2] ^= 1
    (folder / 'student.onnx').write_bytes(bytes(data))
    with pytest.raises(BundleError, match='damaged'):
        load_student(folder)


def test_another_bundle_than_expected(folder: Path) -> None:
    with pytest.raises(BundleError, match=r'model\.sha256'):
        load_student(folder, sha256='0' * 64)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match='readable'):
        load_student(tmp_path / 'nowhere')


def test_links_out_of_the_bundle_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / 'outside.onnx'
    (folder / 'student.onnx').rename(outside)
    (folder / 'student.onnx').symlink_to(outside)
    with pytest.raises(BundleError, match='must lie in the bundle'):
        load_student(folder)


def test_a_graph_with_weights_elsewhere_is_refused(
    tmp_path: Path, tiny_student_spec: StudentSpec
) -> None:
    onnx = pytest.importorskip('onnx')
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), 'weight')
    onnx.external_data_helper.set_external_data(tensor, '../secret.bin')
    graph = onnx.helper.make_graph([], 'g', [], [], [tensor])
    data = onnx.helper.make_model(graph).SerializeToString()
    with pytest.raises(BundleError, match='external_data'):
        save_student(tmp_path / 'b', tiny_student_spec, onnx=data, weights=b'', model_card='')
    assert not (tmp_path / 'b').exists()


def test_size_is_bounded_before_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundle_files.MAX_BYTES, 'student.onnx', 10)
    with pytest.raises(BundleError, match='at most'):
        load_student(folder)


@pytest.mark.parametrize(
    'change',
    [
        lambda d: d.update(format_version=2),
        lambda d: d.pop('classes'),
        lambda d: d.update(classes=[]),
        lambda d: d.update(classes=d['classes'][1:]),
        lambda d: d['classes'].reverse(),
        lambda d: d['classes'][0].update(color=[0, 0]),
        lambda d: d['classes'][0].update(color=['a', 0, 0]),
        lambda d: d['classes'][0].update(id='0'),
        lambda d: d['classes'][0].update(name=''),
        lambda d: d.update(input={'height': 96}),
        lambda d: d['input'].update(height=96.5),
        lambda d: d['input'].update(height=True),
        lambda d: d['input'].update(height=10**9),
        lambda d: d['input'].update(channels=2),
        lambda d: d['calibration'].update(temperature=0.0),
        lambda d: d['calibration'].update(temperature=float('nan')),
        lambda d: d['agc'].update(method='magic'),
        lambda d: d.update(task='poetry'),
        lambda d: d.update(name='../evil'),
        lambda d: d.update(output_stride=3),
        lambda d: d.update(architecture='rep_unet'),
        lambda d: d.update(extra=1),
        lambda d: d.update(files=['student.onnx']),
        lambda d: d.update(files={}),
    ],
)
def test_the_schema_is_checked(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewrite(folder, change)
    with pytest.raises(BundleError):
        load_student(folder)


@given(st.binary(max_size=200))
def test_any_bytes_as_description_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        bundle_module._parse(data, Path('x'))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ['name', 'architecture', 'classes', 'input', 'output_stride', 'agc', 'calibration']


@given(st.dictionaries(st.sampled_from(FIELDS), json_like))
def test_any_description_is_refused_or_typed(document: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        spec_from_mapping(document)


MEASURED = Quantization(0.004, 0.006, 'frames', 'other frames')


@pytest.fixture
def quantized(folder: Path, tiny_student_spec: StudentSpec) -> Path:
    spec = dataclasses.replace(tiny_student_spec, quantization=MEASURED)
    save_student(folder, spec, onnx=b'1', weights=b'2', model_card='', onnx_int8=b'3')
    return folder


def test_an_int8_graph_is_part_of_the_bundle(quantized: Path, folder: Path) -> None:
    student = load_student(quantized)
    assert (student.onnx, student.onnx_int8) == (b'1', b'3')
    assert student.spec.quantization == MEASURED
    (quantized / 'student_int8.onnx').write_bytes(b'4')
    with pytest.raises(BundleError, match='SHA-256'):
        load_student(quantized)


def test_an_int8_graph_and_its_measurement_come_together(
    quantized: Path, tiny_student_spec: StudentSpec
) -> None:
    with pytest.raises(BundleError, match='together'):
        save_student(
            quantized, tiny_student_spec, onnx=b'1', weights=b'', model_card='', onnx_int8=b'3'
        )
    rewrite(quantized, lambda document: document.pop('quantization'))
    with pytest.raises(BundleError, match='together'):
        load_student(quantized)


def test_an_int8_graph_that_changes_too_much_is_refused(quantized: Path) -> None:
    rewrite(quantized, lambda document: document['quantization'].update(label_change=0.0101))
    with pytest.raises(BundleError, match='label_change'):
        load_student(quantized)
