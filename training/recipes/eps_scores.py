# SPDX-License-Identifier: Apache-2.0
"""Scores of the networks of an EPS run, on the device that it runs on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from kd_perception.metrics import PseudoLabelMatrix
from kd_perception.models import ClassMapNet
from kd_perception.tagging.extraction import least_pixels
from training.data.modality import network_image
from training.data.tagged_frames import (
    TaggedFrame,
    TaggedFrames,
    is_shown,
    normalized_image,
    shown_image,
)
from training.dense_crf import refine
from training.evaluation import Scores, Tally
from training.losses import map_overlap
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.recipes.eps_mask_scores import mask_metrics
from training.recipes.eps_masks import seen
from training.tag_metrics import rounded, tag_metrics

Array = npt.NDArray[Any]

BOUNDS_PX = (1, 2, 3)
OVERLAPS = (0.2, 0.4, 0.6)
"""Thresholds of map selection between which overlaps are counted."""


@torch.no_grad()
def score_tags(network: ClassMapNet, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How well a classifier tells tags of whole images.

    Args:
        network: in eval mode.
        frames: that it has not learnt from; none gives an empty report.
        config: of the run.
    """
    if not len(frames):
        return {}
    scores, tags = [], []
    for k in tqdm(range(len(frames)), desc='score tags', unit='image'):
        frame = frames[k]
        image = normalized_image(shown_image(frame, config.modality))
        scores.append(network(_on_device(image[None], network)).scores[0].cpu().numpy())
        tags.append(frame.tags)
    return tag_metrics(np.stack(scores), np.stack(tags), config.classes)


@torch.no_grad()
def score_overlaps(
    network: ClassMapNet, frames: TaggedFrames, config: EpsConfig
) -> dict[str, Any]:
    """Where the overlaps lie that map selection compares with tau; nothing for CAM.

    Args:
        network: in eval mode.
        frames: that it has learnt from; each is looked at once, whole.
        config: of the run.

    Returns:
        `pairs`: how many classes of images there are; `held`: the share of them whose map exceeds
        one half anywhere; and the shares whose overlap is at most 0.2, above that and at most 0.4,
        and so on. Where few lie between two values of tau, these make no difference.
    """
    if config.classifier.method != 'eps':
        return {}
    overlaps, held = list[float](), list[bool]()
    for k in tqdm(range(len(frames)), desc='overlaps', unit='image'):
        frame = frames[k]
        image = normalized_image(shown_image(frame, config.modality))
        maps = network(_on_device(image[None], network)).maps.float().softmax(dim=1)[:, :-1]
        saliency = (
            np.zeros(image.shape[1:], np.uint8) if frame.saliency is None else frame.saliency
        )
        levels = _on_device(saliency[None, None].astype(np.float32) / 255.0, network)
        nearest = functional.interpolate(levels, size=maps.shape[2:])
        present = np.flatnonzero(frame.tags)
        overlaps += map_overlap(maps, nearest)[0].cpu().numpy()[present].tolist()
        held += (maps[0].amax(dim=(1, 2)) > 0.5).cpu().numpy()[present].tolist()
    return overlap_shares(overlaps, held)


def overlap_shares(overlaps: list[float], held: list[bool]) -> dict[str, Any]:
    """Overlaps counted between the thresholds, see `score_overlaps`."""
    edges = (-np.inf, *OVERLAPS, np.inf)
    names = ('to_0.2', '0.2_to_0.4', '0.4_to_0.6', 'above_0.6')
    found = np.array(overlaps)
    shares = {
        name: rounded(((found > low) & (found <= high)).mean()) if len(found) else None
        for name, low, high in zip(names, edges[:-1], edges[1:], strict=True)
    }
    return {'pairs': len(found), 'held': rounded(np.mean(held)) if held else None, **shares}


@torch.no_grad()
def tags_of_masks(network: nn.Module, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How well the masks of a network agree with tags: all that can be measured without labels.

    A class is there from the share of the mask on that tags of labels ask for, `TAG_SHARE`; a
    smaller speck of it says nothing.

    Args:
        network: from images of 0 to 1 to logits; in eval mode.
        frames: that it has not learnt from; none gives an empty report.
        config: of the run.
    """
    if not len(frames):
        return {}
    shares, tags = [], []
    own = config.segmentation
    size = (config.tagged_size or own.image_size)[:2]
    for k in tqdm(range(len(frames)), desc='tags of masks', unit='image'):
        frame = frames[k]
        image, _ = network_image(
            frame, own.modality, (size[0], size[1]), shown=is_shown(frame)
        )  # fmt: skip
        mask = network(_on_device(image, network))[0].argmax(dim=0).cpu().numpy()
        counts = np.bincount(mask.ravel(), minlength=len(config.classes) + 1)
        shares.append((counts[1:] - least_pixels(mask.size) + 1) / mask.size)
        tags.append(frame.tags)
    return tag_metrics(np.stack(shares), np.stack(tags), config.classes)


def score_segmentation(network: nn.Module, frames: RunFrames) -> dict[str, Any]:
    """Scores of a segmentation network on frames that it has not learnt from.

    Args:
        network: from images of 0 to 1 to logits; in eval mode.
        frames: of the run.

    Returns:
        Means, values by class and boundary F on frames with labels; of a folder of tags these are
        whole images, where the recording had labels. With `tags`, how well masks agree with tags,
        of a folder.
    """
    config, report = frames.config, dict[str, Any]()
    if config.tagged:
        report['tags'] = tags_of_masks(network, frames['test'], config)
    labeled = frames.labeled('test')
    if len(labeled):
        report |= scores_of(network, labeled, config, name='test').metrics
        if config.segmentation.crf:
            report['crf'] = score_refined(network, labeled, config)
    return report


@torch.no_grad()
def scores_of(network: nn.Module, frames: TaggedFrames, config: EpsConfig, *, name: str) -> Scores:
    """Scores of a segmentation network, as the robot would use it.

    Args:
        network: from images of 0 to 1 to logits; in eval mode.
        frames: with labels, at least one.
        config: of the run.
        name: of the frames, for the progress bar.
    """
    tally = Tally(BOUNDS_PX, config.label_set)
    for k in tqdm(range(len(frames)), desc=f'score {name}', unit='frame'):
        frame = frames[k]
        logits, box = _logits(network, frame, config)
        tally.update(logits.cpu().numpy(), box, np.asarray(frame.label))
    return tally.scores()


@torch.no_grad()
def score_refined(network: nn.Module, frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """Scores after a random field over each image, or over as many as `crf_images` says."""
    own, names = config.segmentation, config.label_set.names
    matrix = PseudoLabelMatrix(len(names))
    rows = spread_over(len(frames), own.crf_images)
    for k in tqdm(rows, desc='random fields', unit='image'):
        frame = frames[k]
        logits, box = _logits(network, frame, config)
        full = functional.interpolate(logits, own.image_size, mode='bilinear', align_corners=False)
        height, width = box.content_size
        size = np.asarray(frame.label).shape
        inside = functional.interpolate(
            full[:, :, :height, :width], size, mode='bilinear', align_corners=False
        )
        image = seen(shown_image(frame, own.modality))
        beliefs = refine(inside.softmax(dim=1)[0].cpu().numpy(), image, own.random_field)
        matrix.update(beliefs.argmax(axis=0).astype(np.uint8), frame.label)
    return {'images': len(rows), **mask_metrics(matrix, names)}


def spread_over(count: int, wanted: int) -> list[int]:
    """So many of the numbers 0 to count - 1 as are wanted, evenly; all for 0."""
    if not 0 < wanted < count:
        return list(range(count))
    return [k * count // wanted for k in range(wanted)]


def _logits(network: nn.Module, frame: TaggedFrame, config: EpsConfig) -> tuple[Any, Any]:
    own = config.segmentation
    image, box = network_image(frame, own.modality, own.image_size, shown=is_shown(frame))
    return network(_on_device(image, network)), box


def _on_device(array: Array, network: nn.Module) -> torch.Tensor:
    """A tensor where the weights of the network are; on the CPU for one without any."""
    first = next(iter(network.parameters()), None) if isinstance(network, nn.Module) else None
    return torch.from_numpy(array).to('cpu' if first is None else first.device)
