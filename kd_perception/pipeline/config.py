# SPDX-License-Identifier: Apache-2.0
"""What may be set of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_perception.bundle import Student
from kd_perception.errors import ConfigError
from kd_perception.freeze import FreezeConfig
from kd_perception.preprocessing import AgcConfig, Radiometry

OUTPUT_SIZES = ('input', 'network')


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of a pipeline that belong to the camera and the user, not to the student.

    Attributes:
        agc: Gain control.
        radiometry: The camera's temperature scale; None when it is not known.
        freeze: Frozen frames.
        allow_color_input: Accept color images by their luma; else they are refused.
        min_confidence: Pixels below get no prediction (mask 255, confidence 0), 0 to 1.
        output_size: ``input`` for results of the camera's size, ``network`` for the size at which
            the network saw the image.
    """

    agc: AgcConfig = field(default_factory=AgcConfig)
    radiometry: Radiometry | None = None
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    allow_color_input: bool = False
    min_confidence: float = 0.0
    output_size: str = 'input'

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ConfigError(f'min_confidence must be 0 to 1; received {self.min_confidence}')
        if self.output_size not in OUTPUT_SIZES:
            raise ConfigError(
                f'output_size must be one of {", ".join(OUTPUT_SIZES)}; received '
                f'{self.output_size!r}'
            )
        if self.agc.method == 'fixed' and self.radiometry is None:
            raise ConfigError('agc.method fixed needs radiometry: set radiometry.preset')


def gain_difference(student: Student, config: PipelineConfig) -> str:
    """Say how the gain control differs from the student's training; empty if it does not."""
    trained, used = student.spec.agc, config.agc
    names = ['method']
    if used.method == trained.method and used.method in ('percentile', 'plateau'):
        names += ['low_percentile', 'high_percentile']
    differences = [
        f'agc.{name} is {getattr(used, name)}, {student.spec.name} was trained with '
        f'{getattr(trained, name)}'
        for name in names
        if getattr(used, name) != getattr(trained, name)
    ]
    return '; '.join(differences)
