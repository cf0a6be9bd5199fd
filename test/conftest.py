# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every test: the real samples, and a student that can be predicted by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_made_depth import save_depth_pair, save_depth_student
from hand_made_network import blockwise_network
from hypothesis import HealthCheck, settings

from kd_perception.bundle import save_student
from kd_perception.bundle_schema import Calibration, ClassInfo, InputSpec, StudentSpec

# The same examples every time: a failure can be seen again, and a pass is no luck.
settings.register_profile(
    'fixed', derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('fixed')

CLASS_NAMES = (
    'unlabeled', 'car', 'person', 'bike', 'curve', 'car_stop', 'guardrail', 'color_cone', 'bump',
)  # fmt: skip


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of the real samples; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'real'
    folder = Path(os.environ.get('KD_PERCEPTION_REAL_DATA', default))
    if not folder.is_dir():
        pytest.skip(f'the real samples are not at {folder} (set KD_PERCEPTION_REAL_DATA)')
    return folder


@pytest.fixture(scope='session')
def tiny_student_spec() -> StudentSpec:
    """Description of the tiny student: input 96x128, logits 24x32, nine classes."""
    classes = tuple(
        ClassInfo(index, name, (25 * index, 200 - 20 * index, 90))
        for index, name in enumerate(CLASS_NAMES)
    )
    return StudentSpec(
        name='tiny',
        architecture={'name': 'none'},
        classes=classes,
        input=InputSpec(96, 128),
        calibration=Calibration(1.5),
        provenance={'recipe': 'test', 'trained_on': 'nothing: weights are set by hand'},
    )


@pytest.fixture(scope='session')
def tiny_student_folder(
    tmp_path_factory: pytest.TempPathFactory, tiny_student_spec: StudentSpec
) -> Path:
    """A bundle whose class is the mean gray level of each 4x4 block, in ninths.

    Logit k is ``s * (k x - k^2 / 16)`` for gray level x of 0 to 1 scaled to 0 to 8, which is
    largest for the k nearest to x.
    """
    folder = tmp_path_factory.mktemp('students') / 'tiny'
    save_student(
        folder,
        tiny_student_spec,
        onnx=_level_network(tiny_student_spec),
        weights=b'no torch form',
        model_card='# tiny\n',
    )
    return folder


@pytest.fixture(scope='session')
def tiny_color_folder(
    tmp_path_factory: pytest.TempPathFactory, tiny_student_spec: StudentSpec
) -> Path:
    """The same of color images; their green takes the place of the gray level."""
    folder = tmp_path_factory.mktemp('color_students') / 'tiny_color'
    spec = replace(tiny_student_spec, name='tiny_color', input=InputSpec(96, 128, 3, 'rgb'))
    save_student(
        folder,
        spec,
        onnx=_level_network(spec),
        weights=b'no torch form',
        model_card='# tiny color\n',
    )
    return folder


@pytest.fixture(scope='session')
def tiny_depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose depth and sigma are linear in color; see `hand_made_depth`."""
    return save_depth_student(tmp_path_factory.mktemp('depth_students') / 'tiny_depth')


@pytest.fixture(scope='session')
def tiny_pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a second student, whose disagreement with the first is sigma."""
    return save_depth_pair(tmp_path_factory.mktemp('depth_pairs') / 'tiny_pair')


def _level_network(spec: StudentSpec) -> bytes:
    count = len(spec.classes)
    levels = np.arange(count, dtype=np.float32)
    channels = spec.input.channels
    weight = np.zeros((count, channels, 4, 4))
    weight[:, channels // 2] = (levels * (count - 1) / 16.0)[:, None, None]
    return blockwise_network(spec, weight, -0.5 * levels**2)
