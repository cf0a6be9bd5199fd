# SPDX-License-Identifier: Apache-2.0
"""The parameters of the depth node: those of every node, and what depth needs beside them."""

from __future__ import annotations

from kd_perception.parameters.common import (
    COMMON_ROWS,
    camera_options,
    choice,
    number,
    with_defaults,
)
from kd_perception.parameters.parameter_table import ParameterTable, Typed
from kd_perception.parameters.spec import ParameterSpec
from kd_perception.pipeline import METHODS, RECTIFIED, SCALE_MODES, DepthPipelineConfig

_DEPTH_ROWS: tuple[ParameterSpec, ...] = (
    number('min_range_m', 0.1, 1.0e-3, 1.0e5, 'Nearer depths become minus infinity, in m.'),
    number('max_range_m', 80.0, 1.0e-3, 1.0e5, 'Farther depths become infinity, in m.'),
    choice('scale.mode', 'focal', SCALE_MODES,
           'Scale of the depth: by the focal length of the camera, a fixed factor, or none '
           '(relative depth).', 'active'),
    number('scale.factor', 1.0, 1.0e-6, 1.0e6, 'What depth is multiplied by, for mode fixed.'),
    ParameterSpec(
        'require_calibration', True,
        'No metric depth without a focal length in camera_info; else it is assumed.',
        applied='active',
    ),
    choice('uncertainty.method', 'bundle', METHODS,
           'Where sigma comes from: as the student was calibrated, the network, its disagreement '
           'with a second student in the bundle, or the mirrored image.', 'active'),
    number('uncertainty.max_relative', 0.0, 0.0, 1.0e3,
           'Depths, infinite ones too, with a larger sigma / depth become NaN; 0 is no limit.'),
    choice('input_is_rectified', 'auto', RECTIFIED,
           'Whether lens distortion is removed; auto: a topic named image_rect, or a camera_info '
           'without distortion.', 'active'),
)  # fmt: skip


def _config(p: Typed) -> DepthPipelineConfig:
    return DepthPipelineConfig(
        **camera_options(p),
        min_range_m=p.number('min_range_m'),
        max_range_m=p.number('max_range_m'),
        scale_mode=p.text('scale.mode'),
        scale_factor=p.number('scale.factor'),
        require_calibration=p.flag('require_calibration'),
        uncertainty_method=p.text('uncertainty.method'),
        max_relative_uncertainty=p.number('uncertainty.max_relative'),
        input_is_rectified=p.text('input_is_rectified'),
    )


MONO_DEPTH = ParameterTable(
    'mono_depth',
    # A color camera has no shutter that closes, and a simulated one may stand still for long.
    (*with_defaults(COMMON_ROWS, model__path='mono_depth_s', ffc__source='none'), *_DEPTH_ROWS),
    _config,
)
