# SPDX-License-Identifier: Apache-2.0
"""The tiny student, and a pipeline whose masks follow the gray level of each frame."""

from __future__ import annotations

import pytest

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import Pipeline, PipelineConfig
from kd_perception.preprocessing import AgcConfig

CONFIG = PipelineConfig(
    agc=AgcConfig(low_percentile=0.0, high_percentile=100.0), freeze=FreezeConfig(source='none')
)


@pytest.fixture(scope='module')
def student(tiny_student_folder):
    return load_student(tiny_student_folder)


@pytest.fixture
def pipeline(student):
    backend = create_backend(student, backend='onnxruntime', threads=1)
    yield Pipeline(student, backend, CONFIG)
    backend.close()
