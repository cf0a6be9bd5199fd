# SPDX-License-Identifier: Apache-2.0
"""What a bundle says of a depth student, and of a student that sees color."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bundle import load_student, save_student
from kd_perception.bundle_depth import (
    DepthQuantization,
    DepthSpec,
    SecondStudent,
    SigmaCalibration,
)
from kd_perception.bundle_schema import (
    ClassInfo,
    InputSpec,
    Quantization,
    StudentSpec,
    spec_from_mapping,
)
from kd_perception.errors import BundleError

SHIPPED = Path(__file__).resolve().parents[1] / 'students' / 'thermal_seg_s'


def depth_spec(**changes: Any) -> StudentSpec:
    values: dict[str, Any] = {
        'name': 'tiny_depth',
        'architecture': {'name': 'none'},
        'classes': (),
        'input': InputSpec(64, 96, 3, 'rgb', (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
        'task': 'depth',
        'depth': DepthSpec(80.0, 0.5, 60.0, calibration=SigmaCalibration(1.7, 1.3, 'frames')),
    }
    return StudentSpec(**(values | changes))


def saved(spec: StudentSpec, folder: Path, **files: bytes) -> Path:
    save_student(folder, spec, onnx=b'1', weights=b'2', model_card='#', **files)
    return folder


def test_a_depth_student_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    spec = depth_spec()
    loaded = load_student(saved(spec, tmp_path / 'b')).spec
    assert loaded == spec
    assert loaded.output_shape == (1, 2, 16, 24)
    assert loaded.depth is not None and loaded.depth.calibration.scale == 1.7


def test_a_bundle_from_before_depth_means_what_it_meant(tmp_path: Path) -> None:
    """Whose description has neither a task nor a word of depth."""
    before = shutil.copytree(SHIPPED, tmp_path / 'before')
    description = yaml.safe_load((SHIPPED / 'student.yaml').read_text())
    older = {key: value for key, value in description.items() if key not in ('task', 'depth')}
    assert len(older) == len(description) - 2
    (before / 'student.yaml').write_text(yaml.safe_dump(older, sort_keys=False))
    spec = load_student(before).spec
    assert spec == load_student(SHIPPED).spec
    assert (spec.task, spec.depth, spec.output_shape) == ('segmentation', None, (1, 9, 120, 160))
    assert spec.input == InputSpec(480, 640, 1, 'thermal', (), ())


@given(
    st.floats(1.0, 5000.0),
    st.floats(0.01, 10.0),
    st.floats(10.5, 1000.0),
    st.booleans(),
    st.sampled_from(['relative', 'meter']),
    st.sampled_from(['predicted', 'mutual', 'tta_flip']),
    st.floats(0.01, 100.0),
)
def test_any_legal_depth_survives_yaml(
    focal: float, near: float, far: float, metric: bool, unit: str, method: str, scale: float
) -> None:
    calibration = SigmaCalibration(scale, 1.0, 'x', 1.0)
    second = SecondStudent('ab' * 32, 1.0 / focal) if method == 'mutual' else None
    depth = DepthSpec(focal, near, far, metric, unit, method, calibration, second)
    document = dataclasses.asdict(depth_spec(depth=depth))
    document['input']['mean'] = list(document['input']['mean'])
    document['classes'] = []
    assert spec_from_mapping(yaml.safe_load(yaml.safe_dump(_lists(document)))).depth == depth


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(
    'change',
    [
        lambda d: d.pop('depth'),
        lambda d: d.update(depth=None),
        lambda d: d.update(depth=3),
        lambda d: d.update(task='segmentation'),
        lambda d: d.update(classes=[{'id': 0, 'name': 'a', 'color': [0, 0, 0]}]),
        lambda d: d['depth'].pop('focal_px'),
        lambda d: d['depth'].update(focal_px=0.0),
        lambda d: d['depth'].update(focal_px=float('inf')),
        lambda d: d['depth'].update(focal_px='80'),
        lambda d: d['depth'].update(metric=1),
        lambda d: d['depth'].update(min_depth_m=60.0),
        lambda d: d['depth'].update(min_depth_m=0.0),
        lambda d: d['depth'].update(max_depth_m=float('nan')),
        lambda d: d['depth'].update(sigma_unit='mm'),
        lambda d: d['depth'].update(uncertainty_method='mutual'),
        lambda d: d['depth'].update(unknown=1),
        lambda d: d['depth']['calibration'].update(scale=0.0),
        lambda d: d['depth']['calibration'].update(scale=True),
        lambda d: d['depth'].update(calibration=[1.0]),
        lambda d: d['input'].update(mean=[0.5]),
        lambda d: d['input'].update(mean=['a', 'b', 'c']),
        lambda d: d['input'].update(mean=0.5),
        lambda d: d['input'].update(standard_deviation=[0.1, 0.0, 0.1]),
        lambda d: d['input'].update(standard_deviation=[0.1, float('nan'), 0.1]),
        lambda d: d['input'].update(channels=1),
        lambda d: d['input'].update(modality='thermal'),
        lambda d: d.update(quantization={'label_change': 0.0, 'uncertainty_change': 0.0,
                                         'measured_on': 'a', 'calibrated_on': 'b'}),
    ],
)  # fmt: skip
def test_a_wrong_depth_description_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = saved(depth_spec(), tmp_path / 'b')
    document = yaml.safe_load((folder / 'student.yaml').read_text())
    change(document)
    (folder / 'student.yaml').write_text(yaml.safe_dump(document))
    with pytest.raises(BundleError):
        load_student(folder)


def test_each_task_has_its_own_measure_of_int8(
    tmp_path: Path, tiny_student_spec: StudentSpec
) -> None:
    measured = DepthQuantization(0.01, 0.05, 0.1, 'a', 'b')
    folder = saved(depth_spec(quantization=measured), tmp_path / 'b', onnx_int8=b'3')
    assert load_student(folder).spec.quantization == measured
    with pytest.raises(BundleError, match='label_change'):
        dataclasses.replace(tiny_student_spec, quantization=measured)
    with pytest.raises(BundleError, match='abs_rel_change'):
        depth_spec(quantization=Quantization(0.0, 0.0, 'a', 'b'))
    for name, *changes in (
        ('abs_rel_change', 0.0101, 0.0, 0.0),
        ('abs_rel_change_p99', 0.0, 0.0501, 0.0),
        ('log_sigma_change', 0.0, 0.0, 0.101),
        ('log_sigma_change', 0.0, 0.0, float('nan')),
    ):
        with pytest.raises(BundleError, match=f'{name} must'):
            DepthQuantization(*changes, 'a', 'b')


def test_a_segmentation_student_may_see_color(
    tmp_path: Path, tiny_student_spec: StudentSpec
) -> None:
    color = dataclasses.replace(
        tiny_student_spec, input=InputSpec(64, 96, 3, 'rgb', (0.5, 0.5, 0.5))
    )
    assert load_student(saved(color, tmp_path / 'b')).spec == color
    with pytest.raises(BundleError, match='depth belongs'):
        dataclasses.replace(tiny_student_spec, depth=DepthSpec(80.0, 0.5, 60.0))
    with pytest.raises(BundleError, match='classes'):
        depth_spec(classes=(ClassInfo(0, 'a', (0, 0, 0)),))
