# SPDX-License-Identifier: Apache-2.0
"""What ``student.yaml`` says, as types, and its check field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kd_perception.errors import BundleError, ConfigError
from kd_perception.preprocessing import AgcConfig

_MAX_SIDE = 8192


def _require(condition: bool, rule: str, received: object) -> None:
    if not condition:
        raise BundleError(f'student.yaml: {rule}; received {received!r}')


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
    """The network input: (1, channels, height, width) float32 in 0 to 1."""

    height: int
    width: int
    channels: int = 1
    modality: str = 'thermal'

    def __post_init__(self) -> None:
        """Check the ranges."""
        sides = 32 <= self.height <= _MAX_SIDE and 32 <= self.width <= _MAX_SIDE
        _require(sides, f'input sides must be 32 to {_MAX_SIDE}', (self.height, self.width))
        _require(self.channels in (1, 3), 'input channels must be 1 or 3', self.channels)
        known = self.modality in ('thermal', 'rgb')
        _require(known, 'input modality must be thermal or rgb', self.modality)


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling and the expected calibration error it was fitted to lower."""

    temperature: float = 1.0
    fitted_on: str = ''
    ece_before: float | None = None
    ece_after: float | None = None

    def __post_init__(self) -> None:
        """Check the range."""
        finite = math.isfinite(self.temperature) and 0.01 <= self.temperature <= 100.0
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
        classes: Ids 0 to C-1 in the order of the network's outputs.
        input: Network input.
        output_stride: Network input side / logit side.
        agc: Gain control that training used. A camera may need another; node and replay warn.
        calibration: Temperature of confidence and uncertainty.
        provenance: Recipe, configuration, data digest, metrics, what it was trained on.
        task: ``segmentation``.
        quantization: What the int8 graph changes; None where the bundle has none.
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
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        """Check what the fields must be together."""
        legal = self.name.replace('_', '').replace('-', '').isalnum()
        _require(legal, 'name must consist of letters, digits, - and _', self.name)
        _require(self.task == 'segmentation', 'task must be segmentation', self.task)
        ids = [info.id for info in self.classes]
        ordered = ids == list(range(len(ids))) and len(ids) >= 2
        _require(ordered, 'class ids must be 0, 1, 2 ... in order, at least two', ids)
        _require(self.output_stride in (1, 2, 4, 8), 'output_stride is 1, 2, 4 or 8', self)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the network input."""
        return self.input.height, self.input.width

    @property
    def logits_shape(self) -> tuple[int, int, int, int]:
        """Shape that the network must return for one frame."""
        height, width = (side // self.output_stride for side in self.image_size)
        return 1, len(self.classes), height, width


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
        for name, kind in (('input', InputSpec), ('agc', AgcConfig), ('calibration', Calibration)):
            values[name] = _build(kind, values[name])
        if values.get('quantization') is not None:
            values['quantization'] = _build(Quantization, values['quantization'])
        spec: StudentSpec = _build(StudentSpec, values)
        return spec
    except (KeyError, TypeError, AttributeError, OverflowError, ConfigError) as error:
        raise BundleError(f'student.yaml: a field is missing or wrong: {error}') from error


def _build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Build a dataclass after checking each value against the annotated plain type."""
    checks: dict[str, tuple[type, ...]] = {
        'int': (int,),
        'float': (int, float),
        'float | None': (int, float, type(None)),
        'str': (str,),
        'dict[str, Any]': (dict,),
    }
    for item in fields(kind):
        allowed = checks.get(str(item.type))
        if item.name in values and allowed:
            value = values[item.name]
            right = isinstance(value, allowed) and not isinstance(value, bool)
            _require(right, f'{kind.__name__}.{item.name} must be {item.type}', value)
    return kind(**values)
