# SPDX-License-Identifier: Apache-2.0
"""The masks of an EPS run: made frame by frame, kept as files, and scored where labels are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from kd_perception.metrics import PseudoLabelMatrix
from kd_perception.models import ClassMapNet
from kd_perception.world.classes import CLASS_NAMES
from training.data.tagged_frames import TaggedFrames, normalized_image, shown_image
from training.pseudo_masks import make_mask, mask_from_shares, shares_of_peak, summed_maps
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import (
    mask_path,
    read_mask,
    read_shares,
    shares_path,
    write_mask,
    write_shares,
)

Array = npt.NDArray[Any]


def make_masks(
    network: ClassMapNet, frames: TaggedFrames, config: EpsConfig, device: torch.device
) -> None:
    """Make the masks that are not there yet; a run that was stopped goes on where it was.

    Args:
        network: trained, in eval mode, on the device.
        frames: with tags and images.
        config: of the run.
        device: of the network.
    """
    for k in tqdm(range(len(frames)), desc='masks', unit='image'):
        frame = frames[k]
        if mask_path(config, frame.name).is_file():
            continue
        image = shown_image(frame, config.modality)
        if not shares_path(config, frame.name).is_file():
            tensor = torch.from_numpy(normalized_image(image))[None].to(device)
            maps = summed_maps(network, tensor, frame.tags, config.masks)
            write_shares(config, frame.name, shares_of_peak(maps))
        shown = np.asarray(np.rint(image * 255.0), np.uint8)
        seen = shown if shown.shape[2] == 3 else shown[..., 0]
        shares = read_shares(config, frame.name)
        write_mask(config, frame.name, make_mask(shares, seen, config.masks))


def score_masks(frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How far masks and labels agree, over all frames that have labels.

    Args:
        frames: that masks were made for.
        config: of the run.

    Returns:
        `miou`, `iou` and `accuracy` by class, `thresholds`: the mean IoU with other thresholds on
        the class maps alone, and `confusions`: by class, how many pixels of each thing of the
        world were taken for it, over the pixels that rightly were. Empty without labels.
    """
    names = config.label_set.names
    matrix = PseudoLabelMatrix(len(names))
    others = {t: PseudoLabelMatrix(len(names)) for t in config.masks.thresholds}
    taken = np.zeros((len(names), len(CLASS_NAMES)))
    for k in tqdm(range(len(frames)), desc='score masks', unit='image'):
        frame = frames[k]
        if frame.label is None:
            return {}
        mask = read_mask(config, frame.name)
        matrix.update(mask, frame.label)
        shares = read_shares(config, frame.name)
        for threshold, other in others.items():
            other.update(mask_from_shares(shares, threshold), frame.label)
        if frame.things is not None:
            pairs = mask.astype(np.intp) * len(CLASS_NAMES) + frame.things
            counts = np.bincount(pairs.ravel(), minlength=taken.size)
            taken += counts.reshape(taken.shape)
    report = mask_metrics(matrix, names)
    report['thresholds'] = {
        str(t): _rounded(other.compute().miou_nanmean) for t, other in others.items()
    }
    known = {t: v for t, v in report['thresholds'].items() if v is not None}
    if known:
        report['best_threshold'] = float(max(known, key=lambda t: known[t]))
        report['miou_best_threshold'] = max(known.values())
    if taken.any():
        report['confusions'] = confusions(taken, config.classes)
    return report


def mask_metrics(matrix: PseudoLabelMatrix, names: tuple[str, ...]) -> dict[str, Any]:
    """Means and values by class of a matrix of masks and labels."""
    found = matrix.compute()
    return {
        'miou': _rounded(found.miou_nanmean),
        'macc': _rounded(found.macc_nanmean),
        'pixel_accuracy': _rounded(found.pixel_accuracy),
        'iou': {n: _rounded(v) for n, v in zip(names, found.iou, strict=True)},
        'accuracy': {n: _rounded(v) for n, v in zip(names, found.accuracy, strict=True)},
    }


def confusions(taken: Array, classes: tuple[str, ...]) -> Mapping[str, Any]:
    """What was taken for each class, over what it was rightly taken for.

    Args:
        taken: pixels by class of the mask (0 is background) and thing of the world,
            [classes + 1, things].
        classes: of the tags, names of the world.

    Returns:
        By class, the ratio of each other thing; None where the class was never right.

    Reference:
        The co-occurrence measure of EPS, m = FP of a thing / TP of a class.
    """
    report: dict[str, Any] = {}
    for k, name in enumerate(classes, start=1):
        right = taken[k, CLASS_NAMES.index(name)]
        report[name] = {
            thing: _rounded(taken[k, j] / right) if right else None
            for j, thing in enumerate(CLASS_NAMES)
            if thing != name
        }
    return report


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
