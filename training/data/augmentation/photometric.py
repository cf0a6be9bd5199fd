# SPDX-License-Identifier: Apache-2.0
"""Changes of color images, each a function of (image, rng, config).

Images are float32 [height, width, 3] in the order red, green, blue, 0 to 1, and stay in that
range. The views of a stereo pair or a video must be changed alike, or photometric losses learn the
change: give each the same stream, `np.random.default_rng(one_seed)`. What is drawn and what a
color becomes never depend on the rest of the image, but for the blur, which mixes neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError

Array = npt.NDArray[Any]
Rng = np.random.Generator
F32 = np.float32

_LUMA = np.array([0.299, 0.587, 0.114], F32)
_MIDDLE = F32(0.5)


@dataclass(frozen=True)
class PhotometricConfig:
    """How far colors are changed; 0 turns a change off.

    Args:
        color_share: how often brightness, contrast, saturation, hue and gamma change, 0 to 1.
        brightness: largest logarithm of the factor on all levels.
        contrast: largest logarithm of the factor about middle gray.
        saturation: largest logarithm of the factor about the gray image.
        hue_deg: largest turn of the color circle.
        gamma: largest logarithm of the exponent.
        noise_share: how often there is noise.
        noise: its deviation's deviation, in shares of the full range.
        blur_share: how often the image is blurred.
        blur_px: largest deviation of the blur.
    """

    color_share: float = 0.8
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    hue_deg: float = 10.0
    gamma: float = 0.2
    noise_share: float = 0.3
    noise: float = 0.02
    blur_share: float = 0.2
    blur_px: float = 1.2

    def __post_init__(self) -> None:
        shares = (self.color_share, self.noise_share, self.blur_share)
        strengths = (self.brightness, self.contrast, self.saturation, self.hue_deg, self.gamma)
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise ConfigError(f'shares must be 0 to 1, got {shares}')
        if min(*strengths, self.noise, self.blur_px) < 0.0:
            raise ConfigError(f'strengths must be >= 0, got {self}')

    @classmethod
    def strong(cls) -> PhotometricConfig:
        """For sensors that differ much: night, cheap cameras, other white balance."""
        return cls(
            color_share=0.95,
            brightness=0.7,
            contrast=0.5,
            saturation=0.8,
            hue_deg=20.0,
            gamma=0.5,
            noise_share=0.5,
            noise=0.05,
            blur_share=0.35,
            blur_px=2.0,
        )


def augment_rgb(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """All changes, colors first, then what lens and sensor add."""
    if rng.uniform() < config.color_share:
        rgb = change_brightness(rgb, rng, config)
        rgb = change_contrast(rgb, rng, config)
        rgb = change_saturation(rgb, rng, config)
        rgb = change_hue(rgb, rng, config)
        rgb = change_gamma(rgb, rng, config)
    if rng.uniform() < config.blur_share:
        rgb = blur(rgb, rng, config)
    if rng.uniform() < config.noise_share:
        rgb = add_noise(rgb, rng, config)
    return rgb


def _factor(rng: Rng, largest: float) -> Any:
    return F32(np.exp(rng.uniform(-largest, largest)))


def _clip(rgb: Array) -> Array:
    return np.clip(rgb, F32(0.0), F32(1.0))


def change_brightness(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Multiply all levels, as another exposure does."""
    return _clip(rgb * _factor(rng, config.brightness))


def change_contrast(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Stretch or squeeze the levels about middle gray.

    Not about the image's own mean, which other views of the same scene do not share.
    """
    return _clip(_MIDDLE + (rgb - _MIDDLE) * _factor(rng, config.contrast))


def change_saturation(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Move colors from or to gray of the same luma."""
    factor = _factor(rng, config.saturation)
    matrix = factor * np.eye(3, dtype=F32) + (F32(1.0) - factor) * _LUMA
    return _clip(np.asarray(cv2.transform(rgb, matrix)))


def change_hue(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Turn the color circle; grays stay."""
    turn = F32(rng.uniform(-config.hue_deg, config.hue_deg))
    hsv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0] + turn
    hsv[..., 0] = hue - F32(360.0) * np.floor(hue * F32(1.0 / 360.0))  # np.mod takes long
    return _clip(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)))


def change_gamma(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Raise the levels to a power; black and white stay."""
    changed: Array = rgb ** _factor(rng, config.gamma)
    return changed


def add_noise(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Add Gaussian noise, independent per pixel and channel."""
    deviation = F32(abs(rng.normal(0.0, config.noise)))
    return _clip(rgb + deviation * rng.standard_normal(rgb.shape, dtype=F32))


def blur(rgb: Array, rng: Rng, config: PhotometricConfig) -> Array:
    """Blur as a lens out of focus does."""
    deviation_px = rng.uniform(0.0, config.blur_px)
    if deviation_px < 0.1:
        return rgb
    return _clip(np.asarray(cv2.GaussianBlur(rgb, (0, 0), deviation_px)))
