# SPDX-License-Identifier: Apache-2.0
"""The parameters that every perception node has."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

from kd_perception.freeze import FreezeConfig
from kd_perception.parameters.parameter_table import Typed
from kd_perception.parameters.spec import Applied, ParameterSpec, ParameterValue
from kd_perception.preprocessing import AgcConfig, Radiometry, radiometry_from_preset


def choice(
    name: str,
    default: str,
    choices: tuple[str, ...],
    description: str,
    applied: Applied = 'configure',
) -> ParameterSpec:
    """Make the row of a string of a few."""
    return ParameterSpec(name, default, description, choices=choices, applied=applied)


def number(
    name: str,
    default: float,
    low: float,
    high: float,
    description: str,
    applied: Applied = 'active',
) -> ParameterSpec:
    """Make the row of a number with a range."""
    return ParameterSpec(name, default, description, low, high, applied=applied)


def with_defaults(
    rows: tuple[ParameterSpec, ...], **defaults: ParameterValue
) -> tuple[ParameterSpec, ...]:
    """Return the rows with other defaults; `__` in a name stands for a dot."""
    others = {name.replace('__', '.'): value for name, value in defaults.items()}
    return tuple(replace(row, default=others.get(row.name, row.default)) for row in rows)


_COLDEST_C, _HOTTEST_C = -273.15, 3000.0

COMMON_ROWS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        'model.path', '', 'Student bundle: a folder, or a shipped student name.',
        applied='reload',
    ),
    ParameterSpec(
        'model.sha256', '', 'Expected SHA-256 of the bundle; empty accepts any.',
        pattern='([0-9a-f]{64})?', applied='reload',
    ),
    choice('backend', 'auto', ('auto', 'openvino', 'onnxruntime', 'torch', 'tensorrt'),
            'Inference runtime.'),
    choice(
        'precision', 'auto', ('auto', 'fp32', 'bf16', 'fp16', 'int8'), 'Arithmetic of the network.'
    ),
    ParameterSpec(
        'device', 'auto', 'Device of the network: auto, cpu or cuda:N.',
        pattern=r'auto|cpu|cuda:\d{1,2}',
    ),
    ParameterSpec('require_gpu', False, 'Refuse to configure without a GPU.'),
    number('threads', 0, 0, 256, 'CPU threads of the network; 0 chooses.', 'configure'),
    number('warmup_iterations', 10, 0, 100, 'Inferences before the first frame.', 'configure'),
    ParameterSpec('deterministic', False, 'Same input, same bits, where the runtime allows.'),
    choice('image_transport', 'raw', ('raw', 'compressed'), 'Which image topic is read.'),
    ParameterSpec('allow_color_input', False, 'Accept false-color images, converted to gray.'),
    choice('radiometry.preset', 'none',
            ('none', 'lepton_10mk', 'lepton_100mk', 'flir_tlinear_10mk', 'flir_tlinear_100mk',
             'optris', 'celsius_32f', 'kelvin_32f', 'custom'),
            'How raw values become degrees Celsius.'),
    number('radiometry.scale', 1.0, 1.0e-6, 1.0e6,
            'Degrees Celsius per raw count, for preset custom.', 'configure'),
    number('radiometry.offset', 0.0, -1.0e6, 1.0e6,
            'Degrees Celsius at raw count 0, for preset custom.', 'configure'),
    choice('agc.method', 'percentile', ('percentile', 'plateau', 'fixed', 'none'),
            'How gray levels are chosen from raw values.', 'active'),
    number('agc.low_percentile', 1.0, 0.0, 100.0, 'Percentile that becomes black.'),
    number('agc.high_percentile', 99.0, 0.0, 100.0, 'Percentile that becomes white.'),
    number('agc.fixed_low_c', -20.0, _COLDEST_C, _HOTTEST_C,
            'Degrees Celsius that become black, for method fixed.'),
    number('agc.fixed_high_c', 120.0, _COLDEST_C, _HOTTEST_C,
            'Degrees Celsius that become white, for method fixed.'),
    number('agc.time_constant_s', 1.0, 0.0, 60.0,
            'Smoothing of the gray limits, in seconds of header stamps; 0 is none.'),
    choice('ffc.source', 'detect', ('none', 'detect'), 'Where frozen frames are known from.'),
    choice('ffc.policy', 'flag', ('flag', 'hold', 'pass'),
            'Frozen frames: publish as unlabeled, publish nothing, or treat as any frame.',
            'active'),
    number('ffc.freeze_frames', 3, 2, 1000, 'Identical frames that mean frozen.'),
    number('ffc.settle_s', 0.3, 0.0, 10.0, 'Seconds after a freeze that still count as frozen.'),
    choice('queue_policy', 'latest', ('latest', 'every'),
            'Drop what is overtaken, or process every frame (for replay).'),
    number('max_age_ms', 0.0, 0.0, 60_000.0, 'Older frames are dropped, in ms; 0 is off.'),
    number('max_rate_hz', 0.0, 0.0, 1000.0, 'Upper limit of the output rate; 0 is none.'),
    number('input_timeout_s', 2.0, 0.1, 3600.0, 'Seconds without an image that are an error.'),
    ParameterSpec('lazy', True, 'Skip inference while nobody subscribes.', applied='active'),
    choice('output_size', 'input', ('input', 'network'), 'Size of the published images.'),
    choice('camera_info.sync', 'exact_or_latest', ('exact', 'exact_or_latest', 'off'),
            'How the camera_info of an image is found.'),
    number('latency_budget_ms', 50.0, 0.1, 60_000.0, 'Latency above is a warning, in ms.'),
    number('latency_error_after_ms', 1000.0, 0.0, 3.6e6,
            'Milliseconds above the budget without a break that are an error.'),
    number('deadline_ms', 0.0, 0.0, 60_000.0,
            'Deadline offered on the outputs, in ms; 0 is infinite.', 'configure'),
    ParameterSpec('diagnostics.enable', True, 'Publish /diagnostics.'),
    ParameterSpec(
        'autostart', True, 'Configure and activate without a lifecycle manager.', applied='start'
    ),
)  # fmt: skip


class CameraOptions(TypedDict):
    """Keyword arguments of `kd_perception.pipeline.CameraConfig`."""

    agc: AgcConfig
    radiometry: Radiometry | None
    freeze: FreezeConfig
    allow_color_input: bool
    output_size: str


def camera_options(p: Typed) -> CameraOptions:
    """Return the settings that every pipeline has.

    Raises:
        ConfigError: Values contradict one another.
    """
    return CameraOptions(
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
        output_size=p.text('output_size'),
    )
