# SPDX-License-Identifier: Apache-2.0
"""What ``student.yaml`` says of a student that tells depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kd_perception.bundle_checks import build, is_number, require

DEPTH_OUTPUTS = ('log_depth', 'log_sigma')
"""The two maps of a depth network, in this order: natural logarithms of depth and of sigma."""

SIGMA_UNITS = ('relative', 'meter')
UNCERTAINTY_METHODS = ('predicted', 'mutual', 'tta_flip')


@dataclass(frozen=True)
class SigmaCalibration:
    """Factors of the predicted sigma, and what they were fitted to better.

    One factor cannot serve both readings of sigma: errors are spread neither as a normal nor as a
    Laplace distribution.

    Attributes:
        scale: What sigma is multiplied by, 0.01 to 100, so that one and two standard deviations
            hold 68 % and 95 % of the errors.
        confidence_scale: What it is multiplied by, 0.01 to 100, for the confidence: so that the
            stated probabilities of a relative error below 10 % come true.
        fitted_on: Which frames.
        nll_before: Mean negative log likelihood of the Laplace distribution [nat].
        nll_after: The same with the factor.
        coverage_before: Share of the pixels whose error lies in the interval of 68 %.
        coverage_after: The same with the factor.
        ause: Area between sparsification curve and oracle, by the relative error.
    """

    scale: float = 1.0
    confidence_scale: float = 1.0
    fitted_on: str = ''
    nll_before: float | None = None
    nll_after: float | None = None
    coverage_before: float | None = None
    coverage_after: float | None = None
    ause: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ('scale', 'confidence_scale'):
            value = getattr(self, name)
            known = is_number(value) and 0.01 <= value <= 100.0
            require(known, f'depth.calibration.{name} must be 0.01 to 100', value)


@dataclass(frozen=True)
class SecondStudent:
    """The other student in a bundle, by whose disagreement with the first one sigma is told.

    Attributes:
        sha256: Hash of its bundle, which lies in the folder ``second_student``.
        least_share: Where both agree more closely than that, they are taken to be off by it: scale
            of the distribution as a share of the depth, before calibration, 1e-6 to 1.
    """

    sha256: str
    least_share: float = 0.01

    def __post_init__(self) -> None:
        """Check the values."""
        digest = len(self.sha256) == 64 and set(self.sha256) <= set('0123456789abcdef')
        require(digest, 'depth.second.sha256 must be 64 hexadecimal digits', self.sha256)
        known = is_number(self.least_share) and 1.0e-6 <= self.least_share <= 1.0
        require(known, 'depth.second.least_share must be 1e-6 to 1', self.least_share)


@dataclass(frozen=True)
class DepthSpec:
    """What the two maps of a depth network mean.

    The network's sigma is the scale of a Laplace distribution, before calibration.

    Attributes:
        focal_px: Horizontal focal length of the training cameras at the size of the network input
            [px]; depth is exp(log_depth) * (focal length of the camera at that size) / focal_px.
        min_depth_m: Smallest depth in training [m], above 0.
        max_depth_m: Largest depth in training [m].
        metric: Whether exp(log_depth) is in meters; else its unit is not known.
        sigma_unit: ``relative``: exp(log_sigma) is a share of the depth; ``meter``: it has the
            unit of exp(log_depth).
        uncertainty_method: Where sigma comes from: ``predicted`` by the network; ``mutual``, the
            disagreement with the second student; or ``tta_flip``, the difference to the depth of
            the mirrored image.
        calibration: Of sigma, for that method.
        second: The other student; there is one if, and only if, the method is ``mutual``, because
            no other method has a use for it.
    """

    focal_px: float
    min_depth_m: float
    max_depth_m: float
    metric: bool = True
    sigma_unit: str = 'relative'
    uncertainty_method: str = 'predicted'
    calibration: SigmaCalibration = field(default_factory=SigmaCalibration)
    second: SecondStudent | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        focal = is_number(self.focal_px) and 0.0 < self.focal_px <= 1.0e5
        require(focal, 'depth.focal_px must be above 0 and at most 100000', self.focal_px)
        depths = (self.min_depth_m, self.max_depth_m)
        ordered = all(map(is_number, depths)) and 0.0 < depths[0] < depths[1] <= 1.0e5
        require(ordered, 'depth must have 0 < min_depth_m < max_depth_m <= 100000', depths)
        unit = self.sigma_unit in SIGMA_UNITS
        require(unit, f'depth.sigma_unit must be one of {SIGMA_UNITS}', self.sigma_unit)
        require(
            self.uncertainty_method in UNCERTAINTY_METHODS,
            f'depth.uncertainty_method must be one of {UNCERTAINTY_METHODS}',
            self.uncertainty_method,
        )
        paired = (self.uncertainty_method == 'mutual') == (self.second is not None)
        require(paired, 'depth.second and the method mutual come together', self)


MAX_INT8_CHANGE = {
    'abs_rel_change': 0.01,
    'abs_rel_change_p99': 0.05,
    'log_sigma_change': 0.1,  # moves the share of errors within one sigma by 3 points
}
"""The gate: an int8 graph of depth that changes more is not part of a bundle."""


@dataclass(frozen=True)
class DepthQuantization:
    """What the int8 form of a depth graph changes, on frames that did not calibrate it.

    Each change is 0 to the limit that `MAX_INT8_CHANGE` has for it.

    Attributes:
        abs_rel_change: Mean of |int8 - fp32| / fp32 of the depth.
        abs_rel_change_p99: What 99 % of them are below.
        log_sigma_change: Mean difference of the logarithm of sigma.
        measured_on: Which frames.
        calibrated_on: Which frames the ranges of values were taken from.
    """

    abs_rel_change: float
    abs_rel_change_p99: float
    log_sigma_change: float
    measured_on: str
    calibrated_on: str

    def __post_init__(self) -> None:
        """Check the gate."""
        for name, limit in MAX_INT8_CHANGE.items():
            value = getattr(self, name)
            require(0.0 <= value <= limit, f'quantization.{name} must be 0 to {limit}', value)


def depth_spec_from_mapping(values: Mapping[str, Any]) -> DepthSpec:
    """Check the parsed entry ``depth`` and give it types.

    Raises:
        BundleError: A value is of another type or out of range.
        TypeError: A field is missing or unknown.
    """
    known = dict(values)
    if 'calibration' in known:
        known['calibration'] = build(SigmaCalibration, known['calibration'])
    if known.get('second') is not None:
        known['second'] = build(SecondStudent, known['second'])
    spec: DepthSpec = build(DepthSpec, known)
    return spec
