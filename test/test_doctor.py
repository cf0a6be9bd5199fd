# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kd_perception import doctor
from kd_perception.doctor import State


def test_a_good_installation_is_described(
    tiny_student_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = {f.subject: f for f in doctor.examine(str(tiny_student_folder))}
    for subject in ('Python', 'machine', 'NumPy', 'OpenCV', 'student', 'openvino', 'onnxruntime'):
        assert findings[subject].state is State.OK, findings[subject]
    doctor.run(argparse.Namespace(student=str(tiny_student_folder)))
    assert 'found' in capsys.readouterr().out


def test_a_missing_student_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(argparse.Namespace(student='/nowhere/at_all')) == 1
    assert 'PROBLEM' in capsys.readouterr().out


def test_a_missing_library_comes_with_advice() -> None:
    finding = doctor._library('Nonsense', 'kd_perception_nonsense')
    assert finding.state is State.PROBLEM
    assert 'pip install' in finding.advice
