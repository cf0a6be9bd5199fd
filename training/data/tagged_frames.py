# SPDX-License-Identifier: Apache-2.0
"""Images with tags: which classes are in them, where the eye is drawn, and nothing per pixel.

The label is there where a data set has one, and is for scoring alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from training.data.augmentation import PhotometricConfig, augment_rgb
from training.data.augmentation.photometric import change_brightness, change_contrast

Array = npt.NDArray[Any]

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_HEAT_MEAN = np.array([0.5], np.float32)
_HEAT_DEVIATION = np.array([0.25], np.float32)

MODALITIES = {'rgb': 3, 'thermal': 1}
"""Channels of what a classifier sees."""


class TaggedFrame(NamedTuple):
    """An image that somebody has tagged.

    Attributes:
        name: of the image, unique within its set.
        tags: bool [classes]: what is there; the background is no class.
        rgb: uint8 [height, width, 3]; None where there is no color.
        thermal: uint16 [height, width], or uint8 where it went through the robot's gain control
            already; None where there is no heat.
        saliency: uint8 [height, width], 0 to 255; None where there is none.
        label: uint8 [height, width]: 0 is background, k + 1 stands for tag k, 255 is not known;
            None where there is none.
        things: uint8 [height, width]: classes of the world, tagged or not, for telling what was
            taken for something else; None elsewhere.
    """

    name: str
    tags: Array
    rgb: Array | None = None
    thermal: Array | None = None
    saliency: Array | None = None
    label: Array | None = None
    things: Array | None = None


TaggedFrames = Sequence[TaggedFrame]


def _plain_colors() -> PhotometricConfig:
    return PhotometricConfig(
        color_share=1.0, brightness=0.3, contrast=0.3, saturation=0.3, hue_deg=36.0, gamma=0.0,
        noise_share=0.0, blur_share=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class TagViewConfig:
    """Views that a classifier learns from.

    Args:
        crop_size: rows and columns of a view, >= 32; what lies beyond the image is 0 in the
            normalized image and in its saliency. 448 for VOC, 321 for COCO.
        longest_low: least length of the image's longer side, in pixels.
        longest_high: largest. 256 to 512 for VOC, 256 to 448 for COCO.
        flip_share: how often left and right are swapped.
        colors: changes of color, within the authors' 30 % (hue 10 % of the circle); of heat they
            change brightness and contrast.
    """

    crop_size: int = 448
    longest_low: int = 256
    longest_high: int = 512
    flip_share: float = 0.5
    colors: PhotometricConfig = field(default_factory=_plain_colors)

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.crop_size < 32 or not 16 <= self.longest_low <= self.longest_high:
            raise ConfigError(
                'crop_size must be >= 32 and 16 <= longest_low <= longest_high, got '
                f'{self.crop_size}, {self.longest_low} and {self.longest_high}'
            )
        if not 0.0 <= self.flip_share <= 1.0:
            raise ConfigError(f'flip_share must be 0 to 1, got {self.flip_share}')


def is_shown(frame: TaggedFrame) -> bool:
    """Whether the heat of a frame went through the robot's gain control already."""
    return frame.thermal is not None and frame.thermal.dtype == np.uint8


def shown_image(frame: TaggedFrame, modality: str) -> Array:
    """What a classifier looks at before normalization, float32 [height, width, channels], 0 to 1.

    Heat of 16 bits goes through the robot's gain control; that of 8 bits has.

    Raises:
        ConfigError: the modality is unknown, or the frame lacks it.
    """
    image = {'rgb': frame.rgb, 'thermal': frame.thermal}.get(modality)
    if image is None:
        raise ConfigError(
            f'modality must be one of {list(MODALITIES)} that frames have, got {modality!r} for '
            f'{frame.name}'
        )
    if modality == 'rgb':
        return np.asarray(image, np.float32) / np.float32(255.0)
    limits = (0.0, 255.0) if is_shown(frame) else agc_limits(image, AgcConfig())
    return np.asarray(normalize(image, *limits), np.float32)[..., None]


def normalized_image(image: Array) -> Array:
    """A network input float32 [channels, height, width] of an image [height, width, channels].

    Color is normalized by the statistics of ImageNet, which weights from files expect.
    """
    mean, deviation = statistics(image.shape[2])
    return np.ascontiguousarray(((image - mean) / deviation).transpose(2, 0, 1))


def statistics(channels: int) -> tuple[Array, Array]:
    """Mean and deviation per channel, float32 [channels], of color or of heat, 0 to 1."""
    if channels == MODALITIES['rgb']:
        return _IMAGENET_MEAN, _IMAGENET_DEVIATION
    return _HEAT_MEAN, _HEAT_DEVIATION


def tag_sample(
    frame: TaggedFrame, modality: str, rng: np.random.Generator, config: TagViewConfig
) -> tuple[Array, Array, Array]:
    """A random view of a frame for a classifier.

    Args:
        frame: with the image of the modality.
        modality: `rgb` or `thermal`.
        rng: consumed.
        config: of the view.

    Returns:
        Image float32 [channels, crop_size, crop_size], normalized; saliency float32 [1, crop_size,
        crop_size], 0 to 1, all 0 where the frame has none; and tags float32 [classes].
    """
    image = shown_image(frame, modality)
    height, width = image.shape[:2]
    scale = float(rng.uniform(config.longest_low, config.longest_high)) / max(height, width)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    flip = rng.uniform() < config.flip_share
    image = _resized(image, size)
    image = _changed(image, rng, config.colors)
    image = normalized_image(image).transpose(1, 2, 0)
    saliency = np.zeros((height, width), np.uint8) if frame.saliency is None else frame.saliency
    shades = _resized(saliency.astype(np.float32) / np.float32(255.0), size)[..., None]
    both = np.concatenate([image, shades], axis=2)
    view = _cropped(both[:, ::-1] if flip else both, rng, config.crop_size).transpose(2, 0, 1)
    return (
        np.ascontiguousarray(view[:-1]),
        np.ascontiguousarray(view[-1:]),
        np.asarray(frame.tags, np.float32),
    )


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """An image [height, width(, channels)] at (width, height)."""
    if image.shape[1::-1] == size:
        return image
    shrinks = size[0] < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(image, size, interpolation=method))
    return resized[..., None] if resized.ndim < image.ndim else resized


def _changed(image: Array, rng: np.random.Generator, config: PhotometricConfig) -> Array:
    if image.shape[2] == 3:
        return augment_rgb(image, rng, config)
    if rng.uniform() < config.color_share:
        image = change_contrast(change_brightness(image, rng, config), rng, config)
    return image


def _cropped(image: Array, rng: np.random.Generator, side: int) -> Array:
    """A random square, padded by 0 at a random place where the image is smaller."""
    view = np.zeros((side, side, image.shape[2]), np.float32)
    source, target = [], []
    for length in image.shape[:2]:
        slack = length - side
        start = int(rng.integers(0, abs(slack) + 1))
        taken = min(length, side)
        source.append(slice(start, start + taken) if slack > 0 else slice(0, taken))
        target.append(slice(0, taken) if slack > 0 else slice(start, start + taken))
    view[tuple(target)] = image[tuple(source)]
    return view
