# SPDX-License-Identifier: Apache-2.0
"""One frame in, one prediction out: the object that node, replay, demo and benchmark share."""

from kd_perception.pipeline.base import FramePipeline
from kd_perception.pipeline.config import (
    METHODS,
    OUTPUT_SIZES,
    RECTIFIED,
    SCALE_MODES,
    CameraConfig,
    DepthPipelineConfig,
    PipelineConfig,
    gain_difference,
)
from kd_perception.pipeline.depth import DepthPipeline
from kd_perception.pipeline.depth_result import DepthOutput, DepthResult
from kd_perception.pipeline.pipeline import Pipeline
from kd_perception.pipeline.result import Output, Result, Timings

__all__ = [
    'METHODS',
    'OUTPUT_SIZES',
    'RECTIFIED',
    'SCALE_MODES',
    'CameraConfig',
    'DepthOutput',
    'DepthPipeline',
    'DepthPipelineConfig',
    'DepthResult',
    'FramePipeline',
    'Output',
    'Pipeline',
    'PipelineConfig',
    'Result',
    'Timings',
    'gain_difference',
]
