# SPDX-License-Identifier: Apache-2.0
"""Automatic gain control: the window of raw values that becomes black to white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, ImageEncodingError
from kd_perception.frames import Float32Image, Image
from kd_perception.preprocessing.radiometry import Radiometry

AGC_METHODS = ('percentile', 'plateau', 'fixed', 'none')

_MIN_SPAN_C = 1.5
_MIN_SPAN_RAW = {'uint8': 4.0, 'uint16': 32.0, 'float32': 1.5}
_FULL_SCALE = {'uint8': 255.0, 'uint16': 65535.0, 'float32': 1.0}
_SAMPLES = 20_000
_PLATEAU_BINS = 256
_PLATEAU_SHARE = 4.0


@dataclass(frozen=True)
class AgcConfig:
    """Settings of the automatic gain control.

    Attributes:
        method: ``percentile`` (window between two percentiles), ``plateau`` (the same window, then
            histogram equalization with clipped bins), ``fixed`` (a window in degrees Celsius) or
            ``none`` (the full scale of the sample type; 0 to 1 for float).
        low_percentile: Lower end of the window, 0 to 100.
        high_percentile: Upper end of the window, above ``low_percentile``.
        fixed_low_c: Lower end of the fixed window [deg C].
        fixed_high_c: Upper end of the fixed window [deg C], above ``fixed_low_c``.
        time_constant_s: Time constant of the window's low-pass filter [s]; 0 switches it off.
    """

    method: str = 'percentile'
    low_percentile: float = 1.0
    high_percentile: float = 99.0
    fixed_low_c: float = -20.0
    fixed_high_c: float = 120.0
    time_constant_s: float = 1.0

    def __post_init__(self) -> None:
        """Check each value and the order of the pairs."""
        if self.method not in AGC_METHODS:
            raise ConfigError(
                f'agc.method must be one of {", ".join(AGC_METHODS)}; received {self.method!r}'
            )
        if not 0.0 <= self.low_percentile < self.high_percentile <= 100.0:
            raise ConfigError(
                'agc.low_percentile must be below agc.high_percentile, both in 0 to 100; received '
                f'{self.low_percentile} and {self.high_percentile}'
            )
        if not self.fixed_low_c < self.fixed_high_c:
            raise ConfigError(
                'agc.fixed_low_c must be below agc.fixed_high_c; received '
                f'{self.fixed_low_c} and {self.fixed_high_c}'
            )
        if not 0.0 <= self.time_constant_s <= 60.0:
            raise ConfigError(
                f'agc.time_constant_s must be 0 to 60; received {self.time_constant_s}'
            )


def agc_limits(
    image: Image, config: AgcConfig, radiometry: Radiometry | None = None
) -> tuple[float, float]:
    """Find the window of raw values that is mapped to 0 and 1.

    Percentiles are taken on a regular grid of about 20,000 pixels. The window never gets narrower
    than 1.5 K (without radiometry: 32 counts of 16 bit, 4 of 8 bit), so that the noise of a flat
    scene is not blown up and a constant frame does not divide by zero.

    Args:
        image: HxW uint8, uint16 or float32. Samples that are not finite are ignored.
        config: Which window.
        radiometry: Needed by the method ``fixed``.

    Returns:
        (low, high) in raw units, ``high`` above ``low``.

    Raises:
        ConfigError: ``fixed`` without radiometry.
        ImageEncodingError: No sample of a float image is finite.
    """
    if config.method == 'none':
        return 0.0, _FULL_SCALE[image.dtype.name]
    if config.method == 'fixed':
        if radiometry is None:
            raise ConfigError('agc.method fixed needs radiometry: set radiometry.preset')
        ends = (config.fixed_low_c, config.fixed_high_c)
        low, high = ((end - radiometry.offset) / radiometry.scale for end in ends)
        return low, high
    samples = np.sort(_sample(image), axis=None)  # three times as fast as np.percentile
    low, high = (
        _percentile(samples, share) for share in (config.low_percentile, config.high_percentile)
    )
    return _widen(low, high, _min_span(image, radiometry))


def _percentile(ascending: Image, percent: float) -> float:
    """Interpolate linearly between samples in ascending order, as `np.percentile` does."""
    position = 0.01 * percent * (len(ascending) - 1)
    before = min(int(position), max(len(ascending) - 2, 0))
    a, b = float(ascending[before]), float(ascending[min(before + 1, len(ascending) - 1)])
    return a + (b - a) * (position - before)


def _sample(image: Image) -> Image:
    stride = max(1, math.isqrt(image.size // _SAMPLES))
    samples = image[::stride, ::stride]
    if image.dtype.kind != 'f':
        return samples
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        finite = image[np.isfinite(image)]
    if finite.size == 0:
        raise ImageEncodingError('a float image must have finite samples; received none')
    return finite.astype(np.float64)  # the span of two float32 may overflow a float32


def _min_span(image: Image, radiometry: Radiometry | None) -> float:
    if radiometry is None:
        return _MIN_SPAN_RAW[image.dtype.name]
    return _MIN_SPAN_C / radiometry.scale


def _widen(low: float, high: float, span: float) -> tuple[float, float]:
    if high - low >= span:
        return low, high
    middle = 0.5 * (low + high)
    half = max(0.5 * span, abs(middle) * 1e-6)  # a float32 far from zero has coarse steps
    return middle - half, middle + half


def normalize(image: Image, low: float, high: float) -> Float32Image:
    """Map raw values linearly so that ``low`` becomes 0 and ``high`` 1, and clip.

    Args:
        image: HxW uint8, uint16 or float32. NaN and -Inf become 0, +Inf becomes 1.
        low: Raw value that becomes 0.
        high: Raw value that becomes 1, above ``low``.

    Returns:
        HxW float32 in 0 to 1.
    """
    gray = np.subtract(image, np.float32(low), dtype=np.float32)
    gray *= np.float32(1.0 / (high - low))
    np.clip(gray, 0.0, 1.0, out=gray)
    if image.dtype.kind == 'f':
        np.nan_to_num(gray, copy=False, nan=0.0)
    return gray


def equalization_curve(gray: Float32Image, share: float = _PLATEAU_SHARE) -> Float32Image:
    """Build the tone curve of plateau histogram equalization.

    Bins that hold more than ``share`` times the mean are cut to that plateau, which keeps a large
    uniform background (sky, road) from taking all gray levels.

    Args:
        gray: HxW float32 in 0 to 1.
        share: Plateau in units of the mean bin.

    Returns:
        256 gray levels, float32, not decreasing, from 0 to 1.

    Reference:
        V. E. Vickers, Plateau equalization algorithm for real-time display of high-quality
        infrared imagery, Optical Engineering 35(7), 1996.
    """
    stride = max(1, math.isqrt(gray.size // _SAMPLES))
    levels = (gray[::stride, ::stride] * (_PLATEAU_BINS - 1)).astype(np.uint8)
    histogram = np.bincount(levels.ravel(), minlength=_PLATEAU_BINS).astype(np.float64)
    clipped = np.minimum(histogram, share * histogram.mean())
    cumulative = np.cumsum(clipped) - 0.5 * clipped
    curve = (cumulative - cumulative[0]) / max(cumulative[-1] - cumulative[0], 1e-9)
    return np.asarray(curve, np.float32)


@dataclass
class AgcImage:
    """A frame with its window.

    Attributes:
        image: HxW uint8, uint16 or float32.
        low: Raw value that becomes 0.
        high: Raw value that becomes 1.
        curve: 256 gray levels of a tone curve over the window; None for a straight one.
    """

    image: Image
    low: float
    high: float
    curve: Float32Image | None = None

    @cached_property
    def gray(self) -> Float32Image:
        """HxW float32 in 0 to 1, computed when it is first asked for."""
        if self.curve is None:
            return self.straight
        levels = np.linspace(0.0, 1.0, _PLATEAU_BINS, dtype=np.float32)
        return np.interp(self.straight, levels, self.curve).astype(np.float32)

    @cached_property
    def straight(self) -> Float32Image:
        """The same without the curve."""
        return normalize(self.image, self.low, self.high)


class Agc:
    """Automatic gain control whose window follows the scene with a time constant.

    The state depends on the frames and their header stamps only, never on the wall clock, so a
    replay gives what the live node gave. The filter restarts when stamps do not advance (zero
    stamps, a bag that starts again) and when the new window lies wholly outside the filtered one
    (another scene, another camera mode): such a frame would come out all black or all white.

    Args:
        config: The settings.
        radiometry: The camera's temperature scale, if known.

    Raises:
        ConfigError: The method ``fixed`` without radiometry.
    """

    def __init__(self, config: AgcConfig, radiometry: Radiometry | None = None) -> None:
        if config.method == 'fixed' and radiometry is None:
            raise ConfigError('agc.method fixed needs radiometry: set radiometry.preset')
        self.config = config
        self.radiometry = radiometry
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frame sets the window alone."""
        self._stamp_ns = 0
        self._kind = ''
        self._limits: npt.NDArray[np.float64] | None = None
        self._curve: Float32Image | None = None

    def __call__(self, image: Image, stamp_ns: int) -> AgcImage:
        """Normalize one frame.

        Args:
            image: HxW uint8, uint16 or float32.
            stamp_ns: Header stamp [ns].

        Raises:
            ImageEncodingError: No sample of a float image is finite. The state stays as it was.
        """
        current = np.array(agc_limits(image, self.config, self.radiometry))
        weight = self._weight(stamp_ns, image.dtype.name, current)
        if self._limits is not None:
            current = self._limits + weight * (current - self._limits)
        low, high = _widen(float(current[0]), float(current[1]), 1e-6)
        seen = AgcImage(image, low, high)
        if self.config.method == 'plateau':
            self._curve = seen.curve = self._filtered_curve(seen.straight, weight)
        self._limits, self._stamp_ns, self._kind = current, stamp_ns, image.dtype.name
        return seen

    def _weight(self, stamp_ns: int, kind: str, current: npt.NDArray[np.float64]) -> float:
        """Give the share of the new frame in the filtered window, 0 to 1; 1 restarts."""
        elapsed_s = (stamp_ns - self._stamp_ns) * 1e-9
        past = self._limits
        restart = past is None or kind != self._kind or elapsed_s <= 0
        outside = past is not None and (current[0] >= past[1] or current[1] <= past[0])
        if restart or outside or self.config.time_constant_s == 0:
            self._limits = self._curve = None
            return 1.0
        return 1.0 - math.exp(-elapsed_s / self.config.time_constant_s)

    def _filtered_curve(self, gray: Float32Image, weight: float) -> Float32Image:
        curve = equalization_curve(gray)
        if self._curve is None:
            return curve
        return np.asarray(self._curve + np.float32(weight) * (curve - self._curve), np.float32)
