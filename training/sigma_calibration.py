# SPDX-License-Identifier: Apache-2.0
"""The factor that makes a predicted sigma mean what it says, and how well that goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.depth_reduction import RELATIVE_ERROR
from kd_perception.errors import ConfigError
from kd_perception.metrics import CalibrationBins, SigmaCalibration

Array = npt.NDArray[Any]

COVERAGES = {1: 0.68, 2: 0.95}
"""What share of the errors shall lie within one and within two standard deviations."""

_LOWEST, _HIGHEST, _STEPS = 0.02, 50.0, 1566  # 0.5 % apart
_CONFIDENCE_STEPS = 160  # 5 % apart: the likelihood is flat there
_TINY = 1e-6


def fit_sigma_scale(pixels: Array) -> float:
    """The factor of sigma by which both shares of `COVERAGES` are nearest to what they shall be.

    The larger of both deviations is made as small as it can be by one factor. The likelihood of a
    Laplace distribution would be led by the few largest errors instead.

    Args:
        pixels: depth, truth and standard deviation [m], [3, pixels].

    Returns:
        A factor of 0.02 to 50; of equally good ones the smallest.

    Raises:
        ConfigError: there are no pixels.
    """
    ratios = np.sort(_errors_in_sigma(pixels))
    if not len(ratios):
        raise ConfigError('sigma must be calibrated on pixels of known depth; there are none')
    scales = np.geomspace(_LOWEST, _HIGHEST, _STEPS)
    worst = np.max(
        [
            np.abs(np.searchsorted(ratios, count * scales, 'right') / len(ratios) - share)
            for count, share in COVERAGES.items()
        ],
        axis=0,
    )
    return float(scales[int(np.argmin(worst))])


def sigma_quality(pixels: Array, scale: float = 1.0) -> dict[str, float]:
    """How well sigma times a factor tells the size of errors.

    Args:
        pixels: depth, truth and standard deviation [m], [3, pixels], at least one.
        scale: factor of sigma.

    Returns:
        `coverage_1_sigma` and `coverage_2_sigma`: share of the errors within one and two standard
        deviations; `coverage_68`, the share within the interval of 68 %, `nll` [nat] and
        `calibration_error`: of `SigmaCalibrationMetrics`.
    """
    depth_m, target_m, sigma_m = pixels
    ratios = _errors_in_sigma(pixels) / scale
    metric = SigmaCalibration()
    metric.update(depth_m, target_m, scale * sigma_m)
    found = metric.compute()
    assert found is not None
    values = {f'coverage_{k}_sigma': float((ratios <= k).mean()) for k in COVERAGES}
    values |= {name: getattr(found, name) for name in ('coverage_68', 'nll', 'calibration_error')}
    return {name: round(value, 5) for name, value in values.items()}


def fit_confidence_scale(pixels: Array) -> float:
    """The factor of sigma by which stated probabilities of a relative error below 10 % come true.

    Args:
        pixels: depth, truth and standard deviation [m], [3, pixels].

    Returns:
        A factor of 0.02 to 50 with the largest likelihood of what errors are below 10 %.

    Raises:
        ConfigError: there are no pixels.
    """
    if not pixels.shape[1]:
        raise ConfigError('the confidence must be calibrated on pixels of known depth')
    scales = np.geomspace(_LOWEST, _HIGHEST, _CONFIDENCE_STEPS)
    likelihoods = [_log_likelihood(pixels, scale) for scale in scales]
    return float(scales[int(np.argmax(likelihoods))])


def confidence_quality(pixels: Array, scale: float = 1.0) -> dict[str, float]:
    """How well the confidence, of sigma times a factor, tells which errors are below 10 %.

    Args:
        pixels: depth, truth and standard deviation [m], [3, pixels], at least one.
        scale: factor of sigma.

    Returns:
        `stated`: mean probability; `observed`: share of the errors; `calibration_error`: expected
        difference of both in 15 bins of the probability.
    """
    stated, right = _confidence(pixels, scale), _is_small(pixels)
    bins = CalibrationBins()
    bins.update(stated, right)
    values = {
        'stated': float(stated.mean()),
        'observed': float(right.mean()),
        'calibration_error': bins.compute().ece,
    }
    return {name: round(value, 5) for name, value in values.items()}


def _confidence(pixels: Array, scale: float) -> Array:
    """As the robot tells it: of a Laplace distribution with that standard deviation."""
    depth_m, _, sigma_m = pixels
    return -np.expm1(-RELATIVE_ERROR * depth_m * math.sqrt(2.0) / (scale * sigma_m))


def _is_small(pixels: Array) -> npt.NDArray[np.bool_]:
    depth_m, target_m, _ = pixels
    return np.asarray(np.abs(depth_m - target_m) < RELATIVE_ERROR * depth_m)


def _log_likelihood(pixels: Array, scale: float) -> float:
    stated = np.clip(_confidence(pixels, scale), _TINY, 1.0 - _TINY)
    return float(np.log(np.where(_is_small(pixels), stated, 1.0 - stated)).mean())


def before_and_after(
    quality: Callable[[Array, float], dict[str, float]], pixels: Array, scale: float
) -> dict[str, Mapping[str, float]]:
    """A quality without and with a factor; nothing without pixels."""
    if not pixels.shape[1]:
        return {}
    return {'before': quality(pixels, 1.0), 'after': quality(pixels, scale)}


def _errors_in_sigma(pixels: Array) -> Array:
    depth_m, target_m, sigma_m = pixels.astype(np.float64)
    errors: Array = np.abs(depth_m - target_m) / sigma_m
    return errors
