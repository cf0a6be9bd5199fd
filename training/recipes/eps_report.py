# SPDX-License-Identifier: Apache-2.0
"""Pictures of a classifier of an EPS run, and lines about what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from kd_perception.markdown import percent
from kd_perception.models import ClassMapNet
from training.data.tagged_frames import (
    TaggedFrame,
    TaggedFrames,
    normalized_image,
    shown_image,
)
from training.pseudo_masks import MaskConfig, map_shares
from training.recipes.eps_config import EpsConfig

Array = npt.NDArray[Any]

_SHOWN = 4
_HEAT = cv2.COLORMAP_VIRIDIS


def show_classifier(
    network: ClassMapNet, frames: TaggedFrames, config: EpsConfig
) -> dict[str, Array]:
    """Image, saliency and the map of each tagged class, uint8 [height, several widths, 3].

    Args:
        network: in eval mode.
        frames: the first ones are shown.
        config: of the run.
    """
    device = next(network.parameters()).device
    pictures = {}
    for k in range(min(_SHOWN, len(frames))):
        frame = frames[k]
        image = torch.from_numpy(normalized_image(shown_image(frame, config.modality)))
        once = MaskConfig(scales=(1.0,), flip=False)
        shares = map_shares(network, image[None].to(device), frame.tags, once)
        pictures[f'frame {k}'] = np.concatenate(
            [picture_of(frame, config.modality), saliency_picture(frame),
             *(heat_picture(part) for part in shares)], axis=1,
        )  # fmt: skip
    return pictures


def picture_of(frame: TaggedFrame, modality: str) -> Array:
    """What a network looks at, uint8 [height, width, 3]."""
    shown = np.asarray(np.rint(shown_image(frame, modality) * 255.0), np.uint8)
    return shown if shown.shape[2] == 3 else shown.repeat(3, axis=2)


def saliency_picture(frame: TaggedFrame) -> Array:
    """Saliency in gray, uint8 [height, width, 3]; black where there is none."""
    size = (frame.rgb if frame.rgb is not None else frame.thermal).shape[:2]  # type: ignore[union-attr]
    found = np.zeros(size, np.uint8) if frame.saliency is None else frame.saliency
    return found[..., None].repeat(3, axis=2)


def heat_picture(share: Array) -> Array:
    """A map of 0 to 1 in colors, uint8 [height, width, 3] RGB."""
    levels = np.asarray(np.rint(np.clip(share, 0.0, 1.0) * 255.0), np.uint8)
    return np.ascontiguousarray(np.asarray(cv2.applyColorMap(levels, _HEAT))[..., ::-1])


def notes(metrics: Mapping[str, Any]) -> list[str]:
    """What stands beside the figures of a run, a line each: answers that need no look, controls.

    Args:
        metrics: of a record of a run.
    """
    parts = (
        ('classifier', metrics.get('classifier', {})),
        ('segmentation', metrics.get('segmentation', {}).get('tags', {})),
    )
    lines = [line for part, report in parts if (line := tags_line(part, report))]
    masks = metrics.get('masks', {})
    if 'salient_tags' in masks:
        lines.append(
            f'masks: mIoU {percent(masks["miou"])} %; of what is salient, painted with the first '
            f'tag of the image, without learning: {percent(masks["salient_tags"]["miou"])} %'
        )
    return lines


def tags_line(part: str, report: Mapping[str, Any]) -> str:
    """Tags that a part tells rightly beside answers that need no look; empty without places."""
    if 'place_accuracy' not in report:
        return ''
    own, usual, place = (
        percent(report[f'{name}accuracy']) for name in ('', 'majority_', 'place_')
    )
    return (
        f'tags by the {part}: {own} % right; the most frequent answer: {usual} %; the most '
        f'frequent answer at the place of a tile: {place} %'
    )


def table_row(name: str, metrics: Mapping[str, Any]) -> str:
    """One row in percent: tags, masks, masks at the best threshold, segmentation."""
    paths = (
        ('classifier', 'mean_average_precision'), ('masks', 'miou'),
        ('masks', 'miou_best_threshold'), ('segmentation', 'miou_nanmean'),
    )  # fmt: skip
    values = (metrics.get(part, {}).get(column) for part, column in paths)
    return f'| {name} | ' + ' | '.join(percent(value) for value in values) + ' |'
