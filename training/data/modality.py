# SPDX-License-Identifier: Apache-2.0
"""What a network sees of a frame: heat, color, or both as channels of one image."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.preprocessing import AgcConfig, Letterbox, agc_limits, network_input, normalize
from training.data.augmentation import (
    AugmentationConfig,
    JointConfig,
    Sample,
    augment,
    augment_pair,
    augment_rgb,
    augment_sample,
)

Array = npt.NDArray[Any]

CHANNELS = {'thermal': 1, 'rgb': 3, 'rgbt': 4}
"""Input channels by modality; `rgbt` is thermal, red, green, blue."""

FIELDS = {
    'thermal': ('thermal', 'label'),
    'rgb': ('rgb', 'label'),
    'rgbt': ('thermal', 'rgb', 'label'),
}
"""What must be known of a frame."""


class LabeledFrame(Protocol):
    """What a network learns from or is scored on.

    `WorldSample`, `RealTile` and `MFNetSample` are such frames, with labels of the nine MFNet
    classes, and `PST900Sample` with those of its own set. Only what `FIELDS` names for a modality
    must be there; the rest may be None, as the label of `BagSample` is, which a network can look
    at but not be taught by alone. Samples of other data sets lack an attribute.
    """

    @property
    def thermal(self) -> Array | None:
        """Heat [height, width]: centikelvin uint16, or gray levels of a camera's gain uint8."""

    @property
    def rgb(self) -> Array | None:
        """Color image of the same view, uint8 [height, width, 3]."""

    @property
    def label(self) -> Array | None:
        """Class id of the set, uint8 [height, width], 255 where it is not known."""


def check_modality(modality: str) -> None:
    """Refuse unknown names.

    Raises:
        ConfigError: not one of `CHANNELS`.
    """
    if modality not in CHANNELS:
        raise ConfigError(f'modality must be one of {list(CHANNELS)}, got {modality!r}')


def training_sample(
    frame: LabeledFrame, modality: str, rng: np.random.Generator, config: AugmentationConfig
) -> tuple[Array, Array]:
    """An augmented crop.

    Returns:
        Image float32 [channels, height, width] in 0 to 1 and label uint8 [height, width].
    """
    if modality == 'thermal':
        gray, label = augment(frame.thermal, frame.label, rng, config)
        return gray[None], label
    if modality == 'rgb':
        view = augment_sample(Sample(rgb=frame.rgb, label=frame.label), rng, config.view)
        color = augment_rgb(view.rgb.astype(np.float32) / np.float32(255.0), rng, config.rgb)
        return np.ascontiguousarray(color.transpose(2, 0, 1)), view.label
    gray, rgb, label = augment_pair(frame.thermal, frame.rgb, frame.label, rng, config)
    return np.concatenate([gray[None], rgb]), label


def plain_sample(
    frame: LabeledFrame,
    modality: str,
    rng: np.random.Generator,
    view: JointConfig,
    *,
    shown: bool = False,
) -> tuple[Array, Array]:
    """A random view of a frame as the robot shows it; arrays as of `training_sample`.

    Args:
        frame: what to look at.
        modality: one of `CHANNELS`.
        rng: consumed.
        view: how far it may be from the frame.
        shown: the thermal image, uint8, went through the robot's gain before, perhaps as part of
            a larger one.
    """
    gray = None if modality == 'rgb' else _gray_levels(np.asarray(frame.thermal), shown)
    rgb = None if modality == 'thermal' else frame.rgb
    sample = augment_sample(Sample(thermal=gray, rgb=rgb, label=frame.label), rng, view)
    planes = [] if modality == 'rgb' else [np.asarray(sample.thermal)[None]]
    if modality != 'thermal':
        planes.append(np.moveaxis(np.asarray(sample.rgb, np.float32) / np.float32(255.0), -1, 0))
    return np.concatenate(planes), np.asarray(sample.label)


def _gray_levels(thermal: Array, shown: bool = False) -> Array:
    """Gray levels 0 to 1 by the robot's gain, which stretches those of a camera's gain, too."""
    if shown:
        return normalize(thermal, 0.0, 255.0)
    return normalize(thermal, *agc_limits(thermal, AgcConfig()))


def network_image(
    frame: LabeledFrame, modality: str, image_size: tuple[int, int], *, shown: bool = False
) -> tuple[Array, Letterbox]:
    """A whole frame as the robot's preprocessing makes a network input of it.

    Args:
        frame: what to look at.
        modality: one of `CHANNELS`.
        image_size: (height, width) of the input.
        shown: as of `plain_sample`.

    Returns:
        float32 [1, channels, *image_size] in 0 to 1, and where the frame lies in it.
    """
    planes: list[Array] = []
    if modality != 'rgb':
        planes.append(_gray_levels(np.asarray(frame.thermal), shown))
    if modality != 'thermal':
        planes += list(np.moveaxis(frame.rgb.astype(np.float32) / np.float32(255.0), -1, 0))
    inputs = [network_input(plane, image_size) for plane in planes]
    return np.concatenate([image for image, _ in inputs], axis=1), inputs[0][1]
