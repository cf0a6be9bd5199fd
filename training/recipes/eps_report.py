# SPDX-License-Identifier: Apache-2.0
"""Scores and pictures of the networks of an EPS run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from kd_perception.markdown import percent
from kd_perception.metrics import PseudoLabelMatrix
from kd_perception.models import ClassMapNet
from kd_perception.preprocessing import network_input
from kd_perception.tagging.extraction import least_pixels
from training.data.modality import network_image
from training.data.tagged_frames import (
    TaggedFrame,
    TaggedFrames,
    normalized_image,
    shown_image,
)
from training.dense_crf import refine
from training.evaluation import score
from training.pseudo_masks import MaskConfig, shares_of_peak, summed_maps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_masks import mask_metrics
from training.tag_metrics import tag_metrics

Array = npt.NDArray[Any]

BOUNDS_PX = (1, 2, 3)

_SHOWN = 4
_HEAT = cv2.COLORMAP_VIRIDIS


@torch.no_grad()
def score_tags(network: ClassMapNet, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How well a classifier tells tags of whole images.

    Args:
        network: in eval mode, on the CPU.
        frames: that it has not learnt from; none gives an empty report.
        config: of the run.
    """
    if not len(frames):
        return {}
    scores, tags = [], []
    for k in tqdm(range(len(frames)), desc='score tags', unit='image'):
        frame = frames[k]
        image = normalized_image(shown_image(frame, config.modality))
        scores.append(network(torch.from_numpy(image)[None]).scores[0].numpy())
        tags.append(frame.tags)
    return tag_metrics(np.stack(scores), np.stack(tags), config.classes)


@torch.no_grad()
def tags_of_masks(network: nn.Module, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How well the masks of a network agree with tags: all that can be measured without labels.

    A class is there from the share of the mask on that tags of labels ask for, `TAG_SHARE`; a
    smaller speck of it says nothing.

    Args:
        network: from images of 0 to 1 to logits; in eval mode, on the CPU.
        frames: that it has not learnt from; none gives an empty report.
        config: of the run.
    """
    if not len(frames):
        return {}
    shares, tags = [], []
    own = config.segmentation
    for k in range(len(frames)):
        frame = frames[k]
        size = (config.tagged_size or own.image_size)[:2]
        planes = np.moveaxis(shown_image(frame, own.modality), -1, 0)
        image = np.concatenate([network_input(p, (size[0], size[1]))[0] for p in planes], axis=1)
        mask = network(torch.from_numpy(image))[0].argmax(dim=0).numpy()
        counts = np.bincount(mask.ravel(), minlength=len(config.classes) + 1)
        shares.append((counts[1:] - least_pixels(mask.size) + 1) / mask.size)
        tags.append(frame.tags)
    return tag_metrics(np.stack(shares), np.stack(tags), config.classes)


def score_segmentation(
    network: nn.Module, frames: TaggedFrames, config: EpsConfig, *, name: str = 'test'
) -> dict[str, Any]:
    """Scores of a segmentation network on frames with labels.

    Args:
        network: from images of 0 to 1 to logits; in eval mode, on the CPU.
        frames: with labels.
        config: of the run.
        name: of the frames.
    """
    own = config.segmentation
    found = score(
        lambda image: network(image), frames, own.modality, name=name,
        image_size=own.image_size, bounds_px=BOUNDS_PX, label_set=config.label_set,
    )  # fmt: skip
    report = dict(found.metrics)
    if own.crf:
        report['crf'] = _score_refined(network, frames, config)
    return report


@torch.no_grad()
def _score_refined(network: nn.Module, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """Scores after a random field over each image."""
    own, names = config.segmentation, config.label_set.names
    matrix = PseudoLabelMatrix(len(names))
    for k in tqdm(range(len(frames)), desc='random fields', unit='image'):
        frame = frames[k]
        image, box = network_image(frame, own.modality, own.image_size)
        logits = network(torch.from_numpy(image))
        full = functional.interpolate(logits, own.image_size, mode='bilinear', align_corners=False)
        height, width = box.content_size
        size = frame.label.shape  # type: ignore[union-attr]
        seen = functional.interpolate(
            full[:, :, :height, :width], size, mode='bilinear', align_corners=False
        )
        shown = np.asarray(np.rint(shown_image(frame, own.modality) * 255.0), np.uint8)
        beliefs = refine(
            seen.softmax(dim=1)[0].numpy(), np.squeeze(shown, axis=2)
            if shown.shape[2] == 1 else shown, own.random_field,
        )  # fmt: skip
        matrix.update(beliefs.argmax(axis=0).astype(np.uint8), frame.label)
    return mask_metrics(matrix, names)


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
        shares = shares_of_peak(summed_maps(network, image[None].to(device), frame.tags, once))
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
