# SPDX-License-Identifier: Apache-2.0
"""Pipelines of depth students, their settings and frames, for tests of the pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig

SECOND = 10**9
STEADY = DepthPipelineConfig(freeze=FreezeConfig('none'))


def pipeline_of(folder: Path, config: DepthPipelineConfig = STEADY) -> DepthPipeline:
    student = load_student(folder)
    backend = create_backend(student, backend='openvino', precision='fp32', threads=2)
    return DepthPipeline(student, backend, config)


def frame(rgb: np.ndarray, encoding: str = 'rgb8') -> Frame:
    return Frame(rgb, encoding, SECOND, 'optical')


def changed(**values: Any) -> DepthPipelineConfig:
    return dataclasses.replace(STEADY, **values)
