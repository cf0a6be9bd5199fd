# SPDX-License-Identifier: Apache-2.0
"""What ``student.yaml`` says, as types, and its check field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kd_perception.bundle_checks import build as _build
from kd_perception.bundle_checks import is_number
from kd_perception.bundle_checks import require as _require
from kd_perception.bundle_depth import (
    DEPTH_OUTPUTS,
    DepthQuantization,
    DepthSpec,
    depth_spec_from_mapping,
)
from kd_perception.errors import BundleError, ConfigError
from kd_perception.preprocessing import AgcConfig

TASKS = ('segmentation', 'depth')

_MAX_SIDE = 8192
_CHANNELS = {'thermal': 1, 'rgb': 3}


@dataclass(frozen=True)
class ClassInfo:
    """One class: mask value, name and display color (RGB, 0 to 255)."""

    id: int
    name: str
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Check the ranges."""
        _require(0 <= self.id < 255, 'a class id must be 0 to 254', self.id)
        _require(0 < len(self.name) <= 100, 'a class name must have 1 to 100 letters', self.name)
        bytes_only = len(self.color) == 3 and all(0 <= part <= 255 for part in self.color)
        _require(bytes_only, 'a class color must be three numbers from 0 to 255', self.color)


@dataclass(frozen=True)
class InputSpec:
    """The network input: (1, channels, height, width) float32.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 for thermal images, 3 for color.
        modality: ``thermal`` (gain control to 0 to 1) or ``rgb`` (0 to 255 divided by 255).
        mean: Per channel, subtracted from values of 0 to 1; empty for 0.
        standard_deviation: Per channel, what they are divided by then, above 0; empty for 1.
    """

    height: int
    width: int
    channels: int = 1
    modality: str = 'thermal'
    mean: tuple[float, ...] = ()
    standard_deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges."""
        sides = 32 <= self.height <= _MAX_SIDE and 32 <= self.width <= _MAX_SIDE
        _require(sides, f'input sides must be 32 to {_MAX_SIDE}', (self.height, self.width))
        known = self.modality in _CHANNELS
        _require(known, 'input modality must be thermal or rgb', self.modality)
        fits = self.channels == _CHANNELS[self.modality]
        _require(fits, 'input channels must be 1 for thermal and 3 for rgb', self.channels)
        for name in ('mean', 'standard_deviation'):
            values = getattr(self, name)
            right = len(values) in (0, self.channels) and all(map(is_number, values))
            _require(right, f'input {name} must be empty or a number per channel', values)
        positive = all(value > 0 for value in self.standard_deviation)
        _require(positive, 'input standard_deviation must be above 0', self.standard_deviation)


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling and the expected calibration error it was fitted to lower."""

    temperature: float = 1.0
    fitted_on: str = ''
    ece_before: float | None = None
    ece_after: float | None = None

    def __post_init__(self) -> None:
        """Check the range."""
        finite = is_number(self.temperature) and 0.01 <= self.temperature <= 100.0
        _require(finite, 'calibration.temperature must be 0.01 to 100', self.temperature)


MAX_INT8_LABEL_CHANGE = 0.01


@dataclass(frozen=True)
class Quantization:
    """What the int8 form of the graph changes, measured on frames that did not calibrate it.

    Attributes:
        label_change: Share of pixels with another class than in fp32, 0 to 0.01: a graph that
            changes more is not part of a bundle.
        uncertainty_change: Mean difference of the uncertainty.
        measured_on: Which frames.
        calibrated_on: Which frames the ranges of values were taken from.
    """

    label_change: float
    uncertainty_change: float
    measured_on: str
    calibrated_on: str

    def __post_init__(self) -> None:
        """Check the gate."""
        _require(
            0.0 <= self.label_change <= MAX_INT8_LABEL_CHANGE,
            f'quantization.label_change must be 0 to {MAX_INT8_LABEL_CHANGE}',
            self.label_change,
        )


@dataclass(frozen=True)
class StudentSpec:
    """Everything that belongs to a student, so that no node parameter can set it wrongly.

    Attributes:
        name: File-name-like name.
        architecture: Network name and its configuration, for the torch backend.
        classes: Ids 0 to C-1 in the order of the network's outputs; empty for depth.
        input: Network input.
        output_stride: Network input side / output side.
        agc: Gain control that training used. A camera may need another; node and replay warn.
        calibration: Temperature of confidence and uncertainty.
        provenance: Recipe, configuration, data digest, metrics, what it was trained on.
        task: ``segmentation`` or ``depth``.
        quantization: What the int8 graph changes; None where the bundle has none.
        depth: What the outputs of a depth network mean; None for segmentation.
    """

    name: str
    architecture: dict[str, Any]
    classes: tuple[ClassInfo, ...]
    input: InputSpec
    output_stride: int = 4
    agc: AgcConfig = field(default_factory=AgcConfig)
    calibration: Calibration = field(default_factory=Calibration)
    provenance: dict[str, Any] = field(default_factory=dict)
    task: str = 'segmentation'
    quantization: Quantization | DepthQuantization | None = None
    depth: DepthSpec | None = None

    def __post_init__(self) -> None:
        """Check what the fields must be together."""
        legal = self.name.replace('_', '').replace('-', '').isalnum()
        _require(legal, 'name must consist of letters, digits, - and _', self.name)
        _require(self.task in TASKS, f'task must be one of {TASKS}', self.task)
        _require(self.output_stride in (1, 2, 4, 8), 'output_stride is 1, 2, 4 or 8', self)
        if self.task == 'depth':
            self._check_depth()
        else:
            self._check_segmentation()

    def _check_segmentation(self) -> None:
        ids = [info.id for info in self.classes]
        ordered = ids == list(range(len(ids))) and len(ids) >= 2
        _require(ordered, 'class ids must be 0, 1, 2 ... in order, at least two', ids)
        _require(self.depth is None, 'depth belongs to task depth', self.depth)
        fits = not isinstance(self.quantization, DepthQuantization)
        _require(fits, 'quantization must tell label_change', self.quantization)

    def _check_depth(self) -> None:
        _require(not self.classes, 'a depth student has no classes', self.classes)
        _require(self.depth is not None, 'task depth needs the entry depth', self.depth)
        fits = not isinstance(self.quantization, Quantization)
        _require(fits, 'quantization must tell abs_rel_change', self.quantization)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the network input."""
        return self.input.height, self.input.width

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape that the network must return for one frame."""
        height, width = (side // self.output_stride for side in self.image_size)
        maps = len(DEPTH_OUTPUTS) if self.task == 'depth' else len(self.classes)
        return 1, maps, height, width


def spec_from_mapping(document: Mapping[str, Any]) -> StudentSpec:
    """Check a parsed ``student.yaml`` (without version and files) and give it types.

    Raises:
        BundleError: A field is missing, unknown, of another type or out of range.
    """
    values = dict(document)
    try:
        values['classes'] = tuple(
            _build(ClassInfo, {**item, 'color': tuple(item['color'])})
            for item in values['classes']
        )
        values['input'] = _input_spec(values['input'])
        for name, kind in (('agc', AgcConfig), ('calibration', Calibration)):
            values[name] = _build(kind, values[name])
        if values.get('quantization') is not None:
            measure = DepthQuantization if values.get('task') == 'depth' else Quantization
            values['quantization'] = _build(measure, values['quantization'])
        if values.get('depth') is not None:
            values['depth'] = depth_spec_from_mapping(values['depth'])
        spec: StudentSpec = _build(StudentSpec, values)
        return spec
    except (KeyError, TypeError, AttributeError, OverflowError, ConfigError) as error:
        raise BundleError(f'student.yaml: a field is missing or wrong: {error}') from error


def _input_spec(values: Mapping[str, Any]) -> InputSpec:
    lists = ('mean', 'standard_deviation')
    spec: InputSpec = _build(
        InputSpec, {k: tuple(v) if k in lists else v for k, v in values.items()}
    )
    return spec
