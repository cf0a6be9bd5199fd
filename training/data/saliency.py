# SPDX-License-Identifier: Apache-2.0
"""Where the eye is drawn, without any training, and how good maps are made worse on purpose.

These detectors are weak stand-ins for the networks that papers take: a map of theirs is a guess.
`spectral_residual` looks at color, `barrier_distance` at color or heat, `heat_contrast` at one
thermal image, `motion` at three in a row. All give uint8 maps, 0 to 255, as files of saliency hold
them.

Reference:
    X. Hou, L. Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007. J. Zhang et
    al., "Minimum Barrier Salient Object Detection at 80 FPS", ICCV 2015 (the distance alone).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, ShapeError

Array = npt.NDArray[Any]

_SPECTRUM_SIDE = 64
_SPECTRUM_BLUR = 2.5
_BARRIER_BLUR, _BARRIER_PASSES = 1.0, 4
_SURROUNDINGS_SHARE = 0.25
_DEVIATIONS = 4.0
_MAD_TO_DEVIATION = 1.4826
_FULL_PERCENTILE = 99.0


def spectral_residual(rgb: Array) -> Array:
    """What sticks out of the spectrum of a color image.

    Args:
        rgb: uint8 [height, width, 3].

    Returns:
        uint8 [height, width]; the brightest hundredth is 255, an image of one color is all 0.
    """
    height, width = rgb.shape[:2]
    scale = _SPECTRUM_SIDE / max(height, width)
    size = (max(8, round(scale * width)), max(8, round(scale * height)))
    small = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    found = np.zeros(small.shape[:2], np.float32)
    for k in range(3):
        blurred = cv2.GaussianBlur(_residual(small[..., k]), (0, 0), _SPECTRUM_BLUR)
        found += blurred / max(float(blurred.mean()), 1e-12)
    return _as_levels(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR))


def _residual(plane: Array) -> Array:
    if np.ptp(plane) == 0:
        return np.zeros(plane.shape, np.float32)
    spectrum = np.fft.fft2(plane.astype(np.float32))
    size = np.abs(spectrum)
    logarithm = np.log(size + 0.01 * size.mean()).astype(np.float32)  # no pits where it is 0
    usual = cv2.blur(logarithm, (3, 3), borderType=cv2.BORDER_WRAP)
    sharpened = np.exp(logarithm - usual) * np.exp(1j * np.angle(spectrum))
    return np.asarray(np.abs(np.fft.ifft2(sharpened)) ** 2, np.float32)


def barrier_distance(image: Array) -> Array:
    """How far levels must rise and fall on the way to the border of the image, at least.

    What touches the border is not salient, nor is what differs little from it.

    Args:
        image: uint8 [height, width, 3] of color, or [height, width] of any unit.

    Returns:
        uint8 [height, width]; an image of one color is all 0.
    """
    if image.ndim == 3:
        planes = [p.astype(np.float32) for p in cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))]
    else:
        planes = [_standard(image, 2.0 * _DEVIATIONS)]
    smooth = (cv2.GaussianBlur(plane, (0, 0), _BARRIER_BLUR) for plane in planes)
    return _as_levels(np.sum([least_barrier(plane, _BARRIER_PASSES) for plane in smooth], axis=0))


def least_barrier(plane: Array, passes: int) -> Array:
    """Least difference of the highest and the lowest level on a path to the border.

    Args:
        plane: float32 [height, width].
        passes: over the image, by turns from either corner; with few of them some barriers come
            out too high.

    Returns:
        float32 of the same shape, 0 on the border.
    """
    found = np.full(plane.shape, np.inf, np.float32)
    found[0], found[-1], found[:, 0], found[:, -1] = 0.0, 0.0, 0.0, 0.0
    highest, lowest = plane.copy(), plane.copy()
    for turn in range(passes):
        step = -1 if turn % 2 else 1
        _sweep(*(a[::step, ::step] for a in (plane, found, highest, lowest)))
    return found


def _sweep_rows(plane: Array, found: Array, highest: Array, lowest: Array) -> None:
    """One pass: each pixel is reached from the one before it or above it, where that is lower."""
    height, width = plane.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            for dy, dx in ((1, 0), (0, 1)):
                high = max(highest[y - dy, x - dx], plane[y, x])
                low = min(lowest[y - dy, x - dx], plane[y, x])
                if high - low < found[y, x]:
                    found[y, x], highest[y, x], lowest[y, x] = high - low, high, low


_sweep = numba.njit(_sweep_rows)


def heat_contrast(thermal: Array) -> Array:
    """How far heat is from that of its surroundings, in deviations of the image.

    Args:
        thermal: [height, width], of any unit; hotter and colder count alike.

    Returns:
        uint8 [height, width]; 255 from four deviations on, 0 where there is no contrast.
    """
    limited = _standard(thermal, 2.0 * _DEVIATIONS)
    reach = max(_SURROUNDINGS_SHARE * max(thermal.shape), 1.0)
    contrast = np.abs(limited - cv2.GaussianBlur(limited, (0, 0), reach))
    return np.asarray(np.rint(np.clip(contrast / _DEVIATIONS, 0.0, 1.0) * 255.0), np.uint8)


def _standard(image: Array, limit: float) -> Array:
    """Distances from the median in deviations, float32, none larger than the limit."""
    values = image.astype(np.float32)
    values -= np.median(values)
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(values)))
    if deviation <= 0.0:
        deviation = float(values.std()) or 1.0
    return np.asarray(np.clip(values / deviation, -limit, limit), np.float32)


def motion(previous: Array, current: Array, following: Array) -> Array:
    """What moves otherwise than the whole image, which is shifted back first.

    Args:
        previous: image before, [height, width].
        current: of the same shape and type.
        following: image after.

    Returns:
        uint8 [height, width]: the smaller of the differences to both neighbors, in deviations of
        the larger one. A first or last image may stand for its missing neighbor: then all is 0.

    Raises:
        ShapeError: the images differ in shape.
    """
    if not previous.shape == current.shape == following.shape or current.ndim != 2:
        raise ShapeError(
            'motion needs three images [height, width] of one shape, received '
            f'{previous.shape}, {current.shape} and {following.shape}'
        )
    here = current.astype(np.float32)
    differences = [np.abs(here - _shifted_onto(here, side)) for side in (previous, following)]
    scale = _MAD_TO_DEVIATION * float(np.median(np.maximum(*differences)))
    least = np.minimum(*differences)
    if scale <= 0.0:
        scale = float(least.max()) / _DEVIATIONS or 1.0
    return np.asarray(np.rint(np.clip(least / scale / _DEVIATIONS, 0.0, 1.0) * 255.0), np.uint8)


def _shifted_onto(here: Array, other: Array) -> Array:
    """An image moved by whole pixels to where it fits best; mirrored where nothing was seen."""
    there = other.astype(np.float32)
    window = np.asarray(cv2.createHanningWindow(here.shape[::-1], cv2.CV_32F))
    # Limited, so that what is hot and moves by itself does not lead the way.
    (x, y), _ = cv2.phaseCorrelate(_standard(here, 1.0), _standard(there, 1.0), window)
    limit = 0.25 * np.array(here.shape[::-1])
    if not np.isfinite([x, y]).all() or (np.abs([x, y]) > limit).any():
        return there
    matrix = np.array([[1.0, 0.0, -round(x)], [0.0, 1.0, -round(y)]])
    return np.asarray(
        cv2.warpAffine(there, matrix, here.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
    )


@dataclass(frozen=True)
class DegradationConfig:
    """How much worse saliency gets.

    Args:
        missed: share of the salient regions that are not seen, 0 to 1.
        false_share: how often a region that is none is taken for one, 0 to 1.
        blur_share: deviation of a blur, in image widths, >= 0.
    """

    missed: float = 0.4
    false_share: float = 0.3
    blur_share: float = 0.03

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (0.0 <= self.missed <= 1.0 and 0.0 <= self.false_share <= 1.0):
            raise ConfigError(f'missed and false_share must be 0 to 1, got {self}')
        if not self.blur_share >= 0.0:
            raise ConfigError(f'blur_share must be >= 0, got {self.blur_share}')


def degrade(saliency: Array, rng: np.random.Generator, config: DegradationConfig) -> Array:
    """Make a map worse: regions are missed, others invented, and all is blurred.

    Args:
        saliency: uint8 [height, width].
        rng: consumed.
        config: how much.

    Returns:
        uint8 of the same shape.
    """
    worse = saliency.copy()
    count, regions = cv2.connectedComponents((saliency > 127).astype(np.uint8))
    for region in range(1, count):
        if rng.uniform() < config.missed:
            worse[cv2.dilate((regions == region).astype(np.uint8), np.ones((5, 5))) > 0] = 0
    if rng.uniform() < config.false_share:
        height, width = saliency.shape
        center = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = tuple(int(rng.uniform(0.05, 0.2) * side) + 1 for side in (width, height))
        cv2.ellipse(worse, center, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    blur_px = config.blur_share * saliency.shape[1]
    return worse if blur_px < 0.3 else np.asarray(cv2.GaussianBlur(worse, (0, 0), blur_px))


def _as_levels(found: Array) -> Array:
    """From the median, which is 0, to the brightest hundredth, which is 255."""
    least, full = np.percentile(found, (50.0, _FULL_PERCENTILE))
    if full <= least:
        return np.zeros(found.shape, np.uint8)
    shares = np.clip((found - least) / (full - least), 0.0, 1.0)
    return np.asarray(np.rint(shares * 255.0), np.uint8)
