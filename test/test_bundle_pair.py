# SPDX-License-Identifier: Apache-2.0
"""Bundles of two depth students: saved, loaded, refused."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hand_made_depth import (
    LEAST_SHARE,
)

from kd_perception.bundle import Student, load_student, save_student
from kd_perception.bundle_depth import SecondStudent
from kd_perception.bundle_schema import InputSpec
from kd_perception.errors import BundleError
from kd_perception.preprocessing import AgcConfig


def test_a_pair_survives_saving_and_is_a_bundle_in_a_bundle(
    tiny_pair_folder: Path, tmp_path: Path
) -> None:
    student = load_student(tiny_pair_folder)
    inner = load_student(tiny_pair_folder / 'second_student')
    assert student.second == inner and student.spec.depth is not None
    assert student.spec.depth.second == SecondStudent(inner.sha256, LEAST_SHARE)
    save(student, tmp_path / 'again', second=inner)
    assert load_student(tmp_path / 'again').sha256 == student.sha256


def save(student: Student, folder: Path, **changes: Any) -> None:
    files = {'onnx': student.onnx, 'weights': student.weights, 'model_card': '# pair'}
    save_student(folder, changes.pop('spec', student.spec), **(files | changes))


def test_a_second_student_and_its_entry_come_together(
    tiny_pair_folder: Path, tiny_depth_folder: Path, tmp_path: Path
) -> None:
    student, alone = load_student(tiny_pair_folder), load_student(tiny_depth_folder)
    with pytest.raises(BundleError, match='come together'):
        save(student, tmp_path / 'a')
    with pytest.raises(BundleError, match='come together'):
        save(alone, tmp_path / 'a', second=student.second)
    with pytest.raises(BundleError, match='must have the SHA-256'):
        save(student, tmp_path / 'a', second=alone)
    assert not list(tmp_path.iterdir())


def _other_graph(inner: Path) -> None:
    (inner / 'student.onnx').write_bytes(b'other')


def _other_description(inner: Path) -> None:
    with (inner / 'student.yaml').open('a') as file:
        file.write('# other\n')


def _link(inner: Path) -> None:
    outside = inner.parent.parent / 'outside'
    shutil.move(inner, outside)
    inner.symlink_to(outside)


@pytest.mark.parametrize('damage', [_other_graph, _other_description, _link, shutil.rmtree])
def test_a_damaged_second_student_is_refused(
    tiny_pair_folder: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(tiny_pair_folder, tmp_path / 'pair'))
    load_student(folder)
    damage(folder / 'second_student')
    with pytest.raises(BundleError):
        load_student(folder)


@pytest.mark.parametrize(
    'change',
    [
        lambda d: d.pop('second'),
        lambda d: d.update(uncertainty_method='predicted'),
        lambda d: d['second'].update(sha256='0' * 64),
        lambda d: d['second'].update(sha256='short'),
        lambda d: d['second'].update(sha256=7),
        lambda d: d['second'].update(least_share=0.0),
        lambda d: d['second'].update(least_share=float('nan')),
        lambda d: d['second'].update(unknown=1),
        lambda d: d['second'].pop('sha256'),
        lambda d: d.update(second=3),
        lambda d: d.update(metric=False),
    ],
)
def test_a_wrong_description_of_a_pair_is_refused(
    tiny_pair_folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = Path(shutil.copytree(tiny_pair_folder, tmp_path / 'pair'))
    document = yaml.safe_load((folder / 'student.yaml').read_text())
    change(document['depth'])
    (folder / 'student.yaml').write_text(yaml.safe_dump(document))
    with pytest.raises(BundleError):
        load_student(folder)


@pytest.mark.parametrize(
    ('changes', 'rule'),
    [
        ({'input': InputSpec(96, 128, 3, 'rgb')}, 'take the same input'),
        ({'output_stride': 8}, 'same output_stride'),
        ({'agc': AgcConfig(low_percentile=2.0)}, 'same gain control'),
    ],
)
def test_students_that_cannot_be_compared_are_refused(
    tiny_pair_folder: Path, tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
    student = load_student(tiny_pair_folder)
    spec = dataclasses.replace(student.spec, **changes)
    with pytest.raises(BundleError, match=rule):
        save(student, tmp_path / 'a', spec=spec, second=student.second)


def test_a_second_student_is_none_of_another_task_or_a_pair(
    tiny_pair_folder: Path, tiny_color_folder: Path, tmp_path: Path
) -> None:
    student = load_student(tiny_pair_folder)
    assert student.spec.depth is not None
    for other, rule in ((load_student(tiny_color_folder), 'tell depth'), (student, 'second one')):
        depth = dataclasses.replace(student.spec.depth, second=SecondStudent(other.sha256))
        spec = dataclasses.replace(student.spec, depth=depth)
        with pytest.raises(BundleError, match=rule):
            save(student, tmp_path / 'a', spec=spec, second=other)
