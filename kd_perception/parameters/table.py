# SPDX-License-Identifier: Apache-2.0
"""The parameters of the thermal segmentation node: names, defaults, ranges, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from kd_perception.parameters.common import COMMON_ROWS, camera_options, number, with_defaults
from kd_perception.parameters.parameter_table import BackendOptions, ParameterTable, Typed
from kd_perception.parameters.spec import ParameterSpec, ParameterValue
from kd_perception.pipeline import PipelineConfig

__all__ = [
    'PARAMETERS',
    'PARAMETER_BY_NAME',
    'THERMAL_SEG',
    'BackendOptions',
    'ParameterSpec',
    'ParameterTable',
    'ParameterValue',
    'backend_options_from_parameters',
    'check_parameters',
    'default_parameters',
    'pipeline_config_from_parameters',
]


def _config(p: Typed) -> PipelineConfig:
    return PipelineConfig(**camera_options(p), min_confidence=p.number('min_confidence'))


THERMAL_SEG = ParameterTable(
    'thermal_seg',
    (
        *with_defaults(COMMON_ROWS, model__path='thermal_seg_s'),
        number('min_confidence', 0.0, 0.0, 1.0, 'Pixels below become unlabeled (255).'),
    ),
    _config,
)

PARAMETERS: tuple[ParameterSpec, ...] = THERMAL_SEG.rows
PARAMETER_BY_NAME: Mapping[str, ParameterSpec] = THERMAL_SEG.by_name

default_parameters = THERMAL_SEG.defaults
check_parameters = THERMAL_SEG.check
pipeline_config_from_parameters = THERMAL_SEG.pipeline_config
backend_options_from_parameters = THERMAL_SEG.backend_options
