# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from kd_perception.errors import BundleError
from kd_perception.resources import share_directory, student_folder


@pytest.mark.parametrize('name', ['thermal_seg', 'thermal_seg_s'])
def test_shipped_students_are_found_by_name(name: str) -> None:
    assert student_folder(name) == share_directory() / 'students' / name


def test_a_path_is_taken_as_it_is(tiny_student_folder: Path) -> None:
    assert student_folder(str(tiny_student_folder)) == tiny_student_folder


@pytest.mark.parametrize('name', ['', 'no_such_student', '/no/such/folder', '../no_such_student'])
def test_unknown_students_are_refused(name: str) -> None:
    with pytest.raises(BundleError, match=r'model\.path') as raised:
        student_folder(name)
    assert 'thermal_seg, thermal_seg_s;' in str(raised.value)
    assert '`python -m training.export --help`' in str(raised.value)
