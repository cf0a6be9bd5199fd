# SPDX-License-Identifier: Apache-2.0
"""What may be set of a pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kd_perception.bundle import Student
from kd_perception.bundle_depth import UNCERTAINTY_METHODS
from kd_perception.errors import ConfigError
from kd_perception.freeze import FreezeConfig
from kd_perception.preprocessing import AgcConfig, Radiometry

OUTPUT_SIZES = ('input', 'network')


@dataclass(frozen=True)
class CameraConfig:
    """Settings of any pipeline that belong to the camera and the user, not to the student.

    Attributes:
        agc: Gain control; without meaning for students of color images.
        radiometry: The camera's temperature scale; None when it is not known.
        freeze: Frozen frames.
        allow_color_input: Accept color images by their luma where the student sees thermal ones;
            else they are refused.
        output_size: ``input`` for results of the camera's size, ``network`` for the size at which
            the network saw the image.
    """

    agc: AgcConfig = field(default_factory=AgcConfig)
    radiometry: Radiometry | None = None
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    allow_color_input: bool = False
    output_size: str = 'input'

    def __post_init__(self) -> None:
        """Check the values."""
        if self.output_size not in OUTPUT_SIZES:
            raise ConfigError(
                f'output_size must be one of {", ".join(OUTPUT_SIZES)}; received '
                f'{self.output_size!r}'
            )
        if self.agc.method == 'fixed' and self.radiometry is None:
            raise ConfigError('agc.method fixed needs radiometry: set radiometry.preset')


@dataclass(frozen=True)
class PipelineConfig(CameraConfig):
    """Settings of the segmentation pipeline.

    Attributes:
        min_confidence: Pixels below get no prediction (mask 255, confidence 0), 0 to 1.
    """

    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ConfigError(f'min_confidence must be 0 to 1; received {self.min_confidence}')


SCALE_MODES = ('focal', 'fixed', 'none')
RECTIFIED = ('auto', 'yes', 'no')
METHODS = ('bundle', *UNCERTAINTY_METHODS)


@dataclass(frozen=True)
class DepthPipelineConfig(CameraConfig):
    """Settings of the depth pipeline.

    Attributes:
        min_range_m: Nearer depths become minus infinity [m], above 0.
        max_range_m: Farther depths become infinity [m].
        scale_mode: Where the scale of the depth comes from: ``focal``, the ratio of the focal
            lengths of this camera and the training's; ``fixed``, the scale factor alone; ``none``
            gives relative depth.
        scale_factor: For ``fixed``, above 0.
        require_calibration: Without the camera's focal length there is no metric depth; else it is
            taken to be that of the training's cameras.
        uncertainty_method: ``bundle`` for the student's own, ``predicted``, ``mutual`` (needs a
            bundle with a second student) or ``tta_flip``.
        max_relative_uncertainty: Depths with a larger share of standard deviation become NaN; 0
            for no limit.
        input_is_rectified: Whether lens distortion is removed: ``yes``, ``no``, or ``auto`` for
            images of a topic named ``image_rect``.
    """

    min_range_m: float = 0.1
    max_range_m: float = 80.0
    scale_mode: str = 'focal'
    scale_factor: float = 1.0
    require_calibration: bool = True
    uncertainty_method: str = 'bundle'
    max_relative_uncertainty: float = 0.0
    input_is_rectified: str = 'auto'

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        if not 0.0 < self.min_range_m < self.max_range_m < math.inf:
            raise ConfigError(
                'ranges must satisfy 0 < min_range_m < max_range_m; received '
                f'{self.min_range_m} and {self.max_range_m}'
            )
        for name, value, choices in (
            ('scale.mode', self.scale_mode, SCALE_MODES),
            ('uncertainty.method', self.uncertainty_method, METHODS),
            ('input_is_rectified', self.input_is_rectified, RECTIFIED),
        ):
            if value not in choices:
                raise ConfigError(
                    f'{name} must be one of {", ".join(choices)}; received {value!r}'
                )
        if not 0.0 < self.scale_factor < math.inf or not self.max_relative_uncertainty >= 0.0:
            raise ConfigError(
                'scale.factor must be above 0 and uncertainty.max_relative at least 0; received '
                f'{self.scale_factor} and {self.max_relative_uncertainty}'
            )


def gain_difference(student: Student, config: CameraConfig) -> str:
    """Say how the gain control differs from the student's training; empty if it does not."""
    if student.spec.input.modality != 'thermal':
        return ''
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
