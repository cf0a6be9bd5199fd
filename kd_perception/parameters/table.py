# SPDX-License-Identifier: Apache-2.0
"""The parameters of the thermal segmentation node: names, defaults, ranges, and what they mean.

One table serves the ROS node (which declares each row as a ROS parameter), the in-process replay
and the documentation, so a parameter file means the same thing everywhere. No ROS is imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypedDict

from kd_perception.errors import ConfigError
from kd_perception.freeze import FreezeConfig
from kd_perception.parameters.spec import Applied, ParameterSpec, ParameterValue
from kd_perception.pipeline import PipelineConfig
from kd_perception.preprocessing import AgcConfig, radiometry_from_preset

__all__ = [
    'PARAMETERS',
    'PARAMETER_BY_NAME',
    'BackendOptions',
    'ParameterSpec',
    'ParameterValue',
    'backend_options_from_parameters',
    'check_parameters',
    'default_parameters',
    'pipeline_config_from_parameters',
]


class BackendOptions(TypedDict):
    """Keyword arguments of `kd_perception.backends.create_backend`."""

    backend: str
    device: str
    precision: str
    threads: int
    require_gpu: bool
    deterministic: bool


def _choice(
    name: str,
    default: str,
    choices: tuple[str, ...],
    description: str,
    applied: Applied = 'configure',
) -> ParameterSpec:
    return ParameterSpec(name, default, description, choices=choices, applied=applied)


def _number(
    name: str,
    default: float,
    low: float,
    high: float,
    description: str,
    applied: Applied = 'active',
) -> ParameterSpec:
    return ParameterSpec(name, default, description, low, high, applied=applied)


_COLDEST_C, _HOTTEST_C = -273.15, 3000.0

PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        'model.path', 'thermal_seg_s', 'Student bundle: a folder, or a shipped student name.',
        applied='reload',
    ),
    ParameterSpec(
        'model.sha256', '', 'Expected SHA-256 of the bundle; empty accepts any.',
        pattern='([0-9a-f]{64})?', applied='reload',
    ),
    _choice('backend', 'auto', ('auto', 'openvino', 'onnxruntime', 'torch', 'tensorrt'),
            'Inference runtime.'),
    _choice(
        'precision', 'auto', ('auto', 'fp32', 'bf16', 'fp16', 'int8'), 'Arithmetic of the network.'
    ),
    ParameterSpec(
        'device', 'auto', 'Device of the network: auto, cpu or cuda:N.',
        pattern=r'auto|cpu|cuda:\d{1,2}',
    ),
    ParameterSpec('require_gpu', False, 'Refuse to configure without a GPU.'),
    _number('threads', 0, 0, 256, 'CPU threads of the network; 0 chooses.', 'configure'),
    _number('warmup_iterations', 10, 0, 100, 'Inferences before the first frame.', 'configure'),
    ParameterSpec('deterministic', False, 'Same input, same bits, where the runtime allows.'),
    _choice('image_transport', 'raw', ('raw', 'compressed'), 'Which image topic is read.'),
    ParameterSpec('allow_color_input', False, 'Accept false-color images, converted to gray.'),
    _choice('radiometry.preset', 'none',
            ('none', 'lepton_10mk', 'lepton_100mk', 'flir_tlinear_10mk', 'flir_tlinear_100mk',
             'optris', 'celsius_32f', 'kelvin_32f', 'custom'),
            'How raw values become degrees Celsius.'),
    _number('radiometry.scale', 1.0, 1.0e-6, 1.0e6,
            'Degrees Celsius per raw count, for preset custom.', 'configure'),
    _number('radiometry.offset', 0.0, -1.0e6, 1.0e6,
            'Degrees Celsius at raw count 0, for preset custom.', 'configure'),
    _choice('agc.method', 'percentile', ('percentile', 'plateau', 'fixed', 'none'),
            'How gray levels are chosen from raw values.', 'active'),
    _number('agc.low_percentile', 1.0, 0.0, 100.0, 'Percentile that becomes black.'),
    _number('agc.high_percentile', 99.0, 0.0, 100.0, 'Percentile that becomes white.'),
    _number('agc.fixed_low_c', -20.0, _COLDEST_C, _HOTTEST_C,
            'Degrees Celsius that become black, for method fixed.'),
    _number('agc.fixed_high_c', 120.0, _COLDEST_C, _HOTTEST_C,
            'Degrees Celsius that become white, for method fixed.'),
    _number('agc.time_constant_s', 1.0, 0.0, 60.0,
            'Smoothing of the gray limits, in seconds of header stamps; 0 is none.'),
    _choice('ffc.source', 'detect', ('none', 'detect'), 'Where frozen frames are known from.'),
    _choice('ffc.policy', 'flag', ('flag', 'hold', 'pass'),
            'Frozen frames: publish as unlabeled, publish nothing, or treat as any frame.',
            'active'),
    _number('ffc.freeze_frames', 3, 2, 1000, 'Identical frames that mean frozen.'),
    _number('ffc.settle_s', 0.3, 0.0, 10.0, 'Seconds after a freeze that still count as frozen.'),
    _choice('queue_policy', 'latest', ('latest', 'every'),
            'Drop what is overtaken, or process every frame (for replay).'),
    _number('max_age_ms', 0.0, 0.0, 60_000.0, 'Older frames are dropped, in ms; 0 is off.'),
    _number('max_rate_hz', 0.0, 0.0, 1000.0, 'Upper limit of the output rate; 0 is none.'),
    _number('input_timeout_s', 2.0, 0.1, 3600.0, 'Seconds without an image that are an error.'),
    ParameterSpec('lazy', True, 'Skip inference while nobody subscribes.', applied='active'),
    _number('min_confidence', 0.0, 0.0, 1.0, 'Pixels below become unlabeled (255).'),
    _choice('output_size', 'input', ('input', 'network'), 'Size of the published images.'),
    _choice('camera_info.sync', 'exact_or_latest', ('exact', 'exact_or_latest', 'off'),
            'How the camera_info of an image is found.'),
    _number('latency_budget_ms', 50.0, 0.1, 60_000.0, 'Latency above is a warning, in ms.'),
    _number('latency_error_after_ms', 1000.0, 0.0, 3.6e6,
            'Milliseconds above the budget without a break that are an error.'),
    _number('deadline_ms', 0.0, 0.0, 60_000.0,
            'Deadline offered on the outputs, in ms; 0 is infinite.', 'configure'),
    ParameterSpec('diagnostics.enable', True, 'Publish /diagnostics.'),
    ParameterSpec(
        'autostart', True, 'Configure and activate without a lifecycle manager.', applied='start'
    ),
)  # fmt: skip

PARAMETER_BY_NAME: Mapping[str, ParameterSpec] = {spec.name: spec for spec in PARAMETERS}


def default_parameters() -> dict[str, ParameterValue]:
    """Return every parameter with its default value."""
    return {spec.name: spec.default for spec in PARAMETERS}


def check_parameters(values: Mapping[str, object]) -> dict[str, ParameterValue]:
    """Complete the given values with the defaults, and check each of them.

    Raises:
        ConfigError: For a name that does not exist or a value that is not allowed.
    """
    for name in values:
        if name not in PARAMETER_BY_NAME:
            close = difflib.get_close_matches(name, PARAMETER_BY_NAME, n=1)
            hint = f' Did you mean {close[0]}?' if close else ''
            raise ConfigError(f'There is no parameter {name!r}.{hint}')
    checked = {name: PARAMETER_BY_NAME[name].check(value) for name, value in values.items()}
    return default_parameters() | checked


def pipeline_config_from_parameters(values: Mapping[str, object]) -> PipelineConfig:
    """Build the pipeline's configuration from parameters, the same for live node and replay.

    Args:
        values: Parameter values by name; missing ones take their default.

    Raises:
        ConfigError: For an unknown name, a value outside its range, or values that contradict
            one another, such as a low percentile above the high one.
    """
    p = _Typed(check_parameters(values))
    return PipelineConfig(
        agc=AgcConfig(
            method=p.text('agc.method'),
            low_percentile=p.number('agc.low_percentile'),
            high_percentile=p.number('agc.high_percentile'),
            fixed_low_c=p.number('agc.fixed_low_c'),
            fixed_high_c=p.number('agc.fixed_high_c'),
            time_constant_s=p.number('agc.time_constant_s'),
        ),
        radiometry=radiometry_from_preset(
            p.text('radiometry.preset'),
            scale=p.number('radiometry.scale'),
            offset=p.number('radiometry.offset'),
        ),
        freeze=FreezeConfig(
            source=p.text('ffc.source'),
            policy=p.text('ffc.policy'),
            freeze_frames=int(p.number('ffc.freeze_frames')),
            settle_s=p.number('ffc.settle_s'),
        ),
        allow_color_input=p.flag('allow_color_input'),
        min_confidence=p.number('min_confidence'),
        output_size=p.text('output_size'),
    )


def backend_options_from_parameters(values: Mapping[str, object]) -> BackendOptions:
    """Return the keyword arguments of `create_backend` that the parameters ask for.

    Raises:
        ConfigError: As for `pipeline_config_from_parameters`.
    """
    p = _Typed(check_parameters(values))
    return BackendOptions(
        backend=p.text('backend'),
        device=p.text('device'),
        precision=p.text('precision'),
        threads=int(p.number('threads')),
        require_gpu=p.flag('require_gpu'),
        deterministic=p.flag('deterministic'),
    )


class _Typed:
    """Reads checked values with the type that the table promises."""

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return str(self._values[name])

    def number(self, name: str) -> float:
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        return bool(self._values[name])
