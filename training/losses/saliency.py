# SPDX-License-Identifier: Apache-2.0
"""Class maps that shall add up to a saliency map, L_sal of EPS."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.tensor_checks import at_least_float32, check_shape

SELECTIONS = ('adaptive', 'naive', 'fixed')
"""How maps of present classes are told apart into what is salient and what is not."""

_SMALL = 1.0e-4


def saliency_loss(
    class_maps: Tensor,
    saliency: Tensor,
    label: Tensor,
    *,
    overlap_threshold: float = 0.4,
    blend: float = 0.5,
    selection: str = 'adaptive',
    background_classes: Sequence[int] = (),
) -> Tensor:
    """Mean squared error between a saliency map and what class maps make of it.

    Arguments and errors are those of `estimated_saliency`.

    Returns:
        The mean over all cells of all images, a scalar of 0 to 1, in float32 or a finer type.

    Reference:
        S. Lee, M. Lee, J. Lee, H. Shim, "Railroad is not a Train: Saliency as Pseudo-pixel
        Supervision for Weakly Supervised Semantic Segmentation", CVPR 2021.
    """
    estimate = estimated_saliency(
        class_maps,
        saliency,
        label,
        overlap_threshold=overlap_threshold,
        blend=blend,
        selection=selection,
        background_classes=background_classes,
    )
    return functional.mse_loss(estimate, _resized(saliency, estimate))


def estimated_saliency(
    class_maps: Tensor,
    saliency: Tensor,
    label: Tensor,
    *,
    overlap_threshold: float = 0.4,
    blend: float = 0.5,
    selection: str = 'adaptive',
    background_classes: Sequence[int] = (),
) -> Tensor:
    """What class maps say about where the eye is drawn.

    With p the softmax over all maps, the maps of present classes are sorted into foreground and
    background; the last map is background always, and those of absent classes are neither.
    Foreground F and background B are sums of probabilities, and the estimate is
    blend F + (1 - blend) (1 - B).

    Args:
        class_maps: raw, [batch, classes + 1, height, width]; the last one is the background.
        saliency: 0 to 1, [batch, 1, any height, any width]; the nearest of its pixels is taken for
            each cell of the maps.
        label: which classes are in the image, 0 or 1, [batch, classes].
        overlap_threshold: of `adaptive`, 0 to 1: a class is foreground where more than this share
            of the cells that it holds is salient. 0.4 for VOC and COCO.
        blend: lambda, 0 to 1: 0.5 for VOC, 0.9 for COCO.
        selection: `adaptive` (the paper); `naive`: every present class is foreground; `fixed`: as
            `naive`, but for `background_classes`. The latter two are the paper's ablation.
        background_classes: of `fixed`: classes that are never salient, from 0.

    Returns:
        float [batch, 1, height, width], 0 to 1. The sorting sends no gradient.

    Raises:
        ShapeError: shapes differ from that.
        ConfigError: a value is out of range, or classes are named where none are looked at.
    """
    check_shape('class_maps', class_maps, (None, None, None, None))
    batch, classes = class_maps.shape[0], class_maps.shape[1] - 1
    check_shape('saliency', saliency, (batch, 1, None, None))
    check_shape('label', label, (batch, classes))
    _check_settings(overlap_threshold, blend, selection, background_classes, classes)
    probabilities = at_least_float32(class_maps).softmax(dim=1)
    present = label.to(torch.bool)
    if selection == 'adaptive':
        resized = _resized(saliency, probabilities)
        salient = present & (map_overlap(probabilities[:, :-1], resized) > overlap_threshold)
    else:
        salient = present.clone()
        salient[:, list(background_classes)] = False
    return _blended(probabilities, salient, present & ~salient, blend)


def map_overlap(probabilities: Tensor, saliency: Tensor) -> Tensor:
    """Share of the cells that a class holds which are salient: no intersection over union.

    Args:
        probabilities: of the classes, [batch, classes, height, width]; a class holds cells above
            0.5.
        saliency: [batch, 1, height, width]; cells above 0.5 are salient.

    Returns:
        float [batch, classes], without gradient. As in the authors' code 1e-4 is added to every
        cell below the fraction bar, so that a class that holds nothing has an overlap of 0.
    """
    held = probabilities.detach().round()
    hits = (held * saliency.detach().round()).sum(dim=(2, 3))
    return hits / (held + _SMALL).sum(dim=(2, 3))


def _blended(probabilities: Tensor, salient: Tensor, background: Tensor, blend: float) -> Tensor:
    """The estimate; by products and sums, which autocast leaves in their type."""
    classes = probabilities[:, :-1]
    foreground = (classes * salient[:, :, None, None]).sum(dim=1, keepdim=True)
    behind = (classes * background[:, :, None, None]).sum(dim=1, keepdim=True)
    return blend * foreground + (1.0 - blend) * (1.0 - behind - probabilities[:, -1:])


def _resized(saliency: Tensor, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    nearest = functional.interpolate(at_least_float32(saliency), size=(height, width))
    return nearest.to(like.dtype)


def _check_settings(
    overlap_threshold: float,
    blend: float,
    selection: str,
    background_classes: Sequence[int],
    classes: int,
) -> None:
    if selection not in SELECTIONS:
        raise ConfigError(f'selection must be one of {list(SELECTIONS)}, got {selection!r}')
    for name, value in (('overlap_threshold', overlap_threshold), ('blend', blend)):
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f'{name} must be 0 to 1, got {value}')
    if background_classes and selection != 'fixed':
        raise ConfigError(f'only selection fixed looks at background_classes, got {selection!r}')
    if not all(0 <= index < classes for index in background_classes):
        raise ConfigError(
            f'background_classes must be 0 to {classes - 1}, got {list(background_classes)}'
        )
