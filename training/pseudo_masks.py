# SPDX-License-Identifier: Apache-2.0
"""From class maps to masks: several scales and flips, each map by its own peak, a threshold.

The authors do not look at the background map that EPS learns; it competes in the softmax alone.
What is sure to hold of every mask of EPS: classes without a tag never appear, and as long as the
threshold is below 1 a class that is alone keeps its peak.

Two other backgrounds are no part of EPS. `learned`: each map is held against the background map in
the place of its own peak, so that a class that is hardly there has no pixels. `saliency`: what is
not salient is background, and elsewhere the class with the largest share stands. `salient_tags` is
the control of that, for which nothing is learnt: what is salient gets the tag of the image.

Reference:
    S. Lee, M. Lee, J. Lee, H. Shim, "Railroad is not a Train: Saliency as Pseudo-pixel
    Supervision for Weakly Supervised Semantic Segmentation", CVPR 2021, and its released code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import ClassMapOutput
from training.dense_crf import DenseCrfConfig, refine

Array = npt.NDArray[Any]

CRFS = ('none', 'dense')
BACKGROUNDS = ('threshold', 'learned', 'saliency')

SALIENT = 127
"""Levels of a saliency map above this one are salient."""

_SMALL = 1.0e-5


@dataclass(frozen=True)
class MaskConfig:
    """How masks are made of class maps.

    Args:
        scales: of the image, each above 0.
        flip: look at the mirrored image too.
        background: `threshold` (EPS): shares are those of the peak; `learned`: they are those of
            the class and the learnt background together; or `saliency`: what is not salient is
            background, whatever the shares are.
        background_threshold: share that a class needs, 0 to 1; 0.2 in EPS. With `learned`, 0.5
            means more than the background.
        thresholds: that are tried beside it, for scoring alone; none is chosen by them.
        crf: `none` (EPS), or `dense`: the background gets (1 - largest share) ** power, and a
            random field lets masks follow the image. Takes seconds of a core per image of VOC.
        background_power: of that, above 0; 4 or 32 in the authors' code.
        random_field: of `dense`.
    """

    scales: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0)
    flip: bool = True
    background: str = 'threshold'
    background_threshold: float = 0.2
    thresholds: tuple[float, ...] = tuple(round(0.05 * k, 2) for k in range(1, 17))
    crf: str = 'none'
    background_power: float = 4.0
    random_field: DenseCrfConfig = field(default_factory=DenseCrfConfig)

    def __post_init__(self) -> None:
        """Check names and ranges; lists become tuples."""
        for name in ('scales', 'thresholds'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, known in (('crf', CRFS), ('background', BACKGROUNDS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        if self.crf == 'dense' and self.background != 'threshold':
            raise ConfigError('a random field has a background of its own: set it to threshold')
        if not self.scales or not all(scale > 0.0 for scale in self.scales):
            raise ConfigError(f'scales must be at least one, above 0, got {self.scales}')
        shares = (self.background_threshold, *self.thresholds)
        if not all(0.0 <= share <= 1.0 for share in shares) or not self.background_power > 0.0:
            raise ConfigError(
                f'thresholds must be 0 to 1 and background_power above 0, got {shares} and '
                f'{self.background_power}'
            )


@torch.no_grad()
def summed_maps(
    network: Callable[[Tensor], ClassMapOutput],
    image: Tensor,
    tags: Array,
    config: MaskConfig,
) -> Array:
    """Maps of the tagged classes, summed over scales and flips.

    Those of EPS go through a softmax with the background, those of CAM, which has none, through
    ReLU.

    Args:
        network: in eval mode.
        image: normalized, float [1, channels, height, width].
        tags: bool [classes]; maps of other classes are 0.
        config: scales and flip.

    Returns:
        float32 [classes (+ 1), height, width], at least 0; with EPS the last is the background.

    Raises:
        ShapeError: the network has maps of another number of classes.
    """
    height, width = int(image.shape[2]), int(image.shape[3])
    total = torch.zeros((), device=image.device)
    for scale in config.scales:
        size = [max(1, round(scale * side)) for side in (height, width)]
        scaled = functional.interpolate(image, size, mode='bilinear', align_corners=False)
        for turned in (scaled, scaled.flip(3))[: 1 + config.flip]:
            maps = _positive(network(turned).maps.float(), len(tags))
            full = functional.interpolate(
                maps, (height, width), mode='bilinear', align_corners=False
            )
            total = total + (full if turned is scaled else full.flip(3))[0]
    found: Array = total.cpu().numpy()
    found[: len(tags)][~np.asarray(tags, bool)] = 0.0
    return found


def map_shares(
    network: Callable[[Tensor], ClassMapOutput],
    image: Tensor,
    tags: Array,
    config: MaskConfig,
) -> Array:
    """Shares of the tagged classes: of their own peaks, or beside the learnt background.

    Args:
        network: in eval mode.
        image: normalized, float [1, channels, height, width].
        tags: bool [classes]; shares of other classes are 0.
        config: scales, flip and background.

    Returns:
        float32 [classes, height, width], 0 to 1.

    Raises:
        ShapeError: the network has maps of another number of classes, or none of the background
            where that is looked at.
    """
    maps = summed_maps(network, image, tags, config)
    maps, background = maps[: len(tags)], maps[len(tags) :]
    if config.background != 'learned':
        return shares_of_peak(maps)
    if not len(background):
        raise ShapeError('background learned needs a map of the background, which CAM has not')
    return np.asarray(maps / np.maximum(maps + background, _SMALL), np.float32)


def _positive(maps: Tensor, classes: int) -> Tensor:
    """Maps that are at least 0: of the classes and, with the head of EPS, the background."""
    if maps.shape[1] == classes + 1:
        return maps.softmax(dim=1)
    if maps.shape[1] == classes:
        return maps.relu()
    raise ShapeError(
        f'the network must have maps of {classes} classes, or one more, got {maps.shape[1]}'
    )


def shares_of_peak(maps: Array) -> Array:
    """Each map divided by its own largest value.

    Args:
        maps: [classes, height, width], at least 0.

    Returns:
        float32 of the same shape, 0 to 1; maps that are 0 stay so.
    """
    peaks = maps.reshape(len(maps), -1).max(axis=1)
    return np.asarray(maps / (peaks + _SMALL)[:, None, None], np.float32)


def mask_from_shares(shares: Array, threshold: float) -> Array:
    """The class with the largest share in each pixel, the background where none is larger.

    Args:
        shares: of `map_shares`, [classes, height, width].
        threshold: 0 to 1.

    Returns:
        uint8 [height, width]: 0 is background, k + 1 stands for class k.
    """
    background = np.full((1, *shares.shape[1:]), threshold, shares.dtype)
    return np.asarray(np.concatenate([background, shares]).argmax(axis=0), np.uint8)


def mask_where_salient(shares: Array, saliency: Array) -> Array:
    """The class with the largest share where the eye is drawn, the background elsewhere.

    Args:
        shares: of `map_shares`, [classes, height, width].
        saliency: uint8 [height, width].

    Returns:
        uint8 [height, width], as of `mask_from_shares`.
    """
    return np.where(saliency > SALIENT, mask_from_shares(shares, 0.0), 0).astype(np.uint8)


def salient_tags(saliency: Array, tags: Array) -> Array:
    """What is salient, as the first class that the image is tagged with: nothing is learnt.

    Args:
        saliency: uint8 [height, width].
        tags: bool [classes].

    Returns:
        uint8 [height, width], as of `mask_from_shares`; all background without a tag.
    """
    first = int(np.argmax(tags)) + 1 if np.any(tags) else 0
    return np.where(saliency > SALIENT, first, 0).astype(np.uint8)


def make_mask(
    shares: Array, image: Array, config: MaskConfig, saliency: Array | None = None
) -> Array:
    """The mask of an image.

    Args:
        shares: of `map_shares`.
        image: as it is shown, uint8 [height, width, 3] or [height, width]; only a random field
            looks at it.
        config: threshold, or field.
        saliency: uint8 [height, width]; only `background: saliency` looks at it.

    Returns:
        uint8 [height, width], as of `mask_from_shares`.

    Raises:
        ConfigError: saliency is needed, and there is none.
    """
    if config.background == 'saliency':
        if saliency is None:
            raise ConfigError('background saliency needs images with saliency: take threshold')
        return mask_where_salient(shares, saliency)
    if config.crf == 'none':
        return mask_from_shares(shares, config.background_threshold)
    background = (1.0 - shares.max(axis=0, keepdims=True)) ** config.background_power
    beliefs = np.concatenate([background, shares])
    beliefs = beliefs / np.maximum(beliefs.sum(axis=0, keepdims=True), _SMALL)
    present = np.flatnonzero([True, *(shares.reshape(len(shares), -1).max(axis=1) > 0.0)])
    refined = refine(beliefs[present], image, config.random_field)
    return np.asarray(present[refined.argmax(axis=0)], np.uint8)
