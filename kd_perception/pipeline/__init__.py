# SPDX-License-Identifier: Apache-2.0
"""One frame in, one prediction out: the object that node, replay, demo and benchmark share."""

from kd_perception.pipeline.config import OUTPUT_SIZES, PipelineConfig, gain_difference
from kd_perception.pipeline.pipeline import Pipeline
from kd_perception.pipeline.result import Output, Result, Timings

__all__ = [
    'OUTPUT_SIZES',
    'Output',
    'Pipeline',
    'PipelineConfig',
    'Result',
    'Timings',
    'gain_difference',
]
