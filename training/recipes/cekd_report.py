# SPDX-License-Identifier: Apache-2.0
"""Scores of the networks of CEKD, and what the thermal enhancement does to contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from kd_perception.label_sets import LabelSet
from kd_perception.markdown import percent
from kd_perception.models import CENet, EKNet
from training.boundary_contrast import BoundaryContrast
from training.data.held_out import Splits, held_out, shown_split
from training.data.modality import LabeledFrame, network_image
from training.evaluation import REAL_TILES_NOTE, score
from training.pictures import gray_picture
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_data import split_frames
from training.recipes.cekd_networks import Student

Array = npt.NDArray[Any]

BOUNDS_PX = (1, 2, 3, 5)
HOT = ('car', 'person')
COLD = ('bike', 'curve', 'car_stop', 'guardrail', 'color_cone', 'bump')
"""What gives off heat, and what has the temperature of its surroundings, among MFNet's classes."""

_SHOWN = 4


def scored_splits(config: CekdConfig, names: Sequence[str] = ()) -> Splits:
    """Frames that the networks are scored on, by name.

    Args:
        config: of the run.
        names: of those that are wanted; all if empty.
    """
    return held_out(config, lambda name: split_frames(config, name), names)


def shown_frames(config: CekdConfig) -> Sequence[LabeledFrame]:
    """Frames for pictures while a network learns; of the training split where no other is left."""
    return split_frames(config, shown_split(config))


def evaluate(
    network: CENet | Student, config: CekdConfig, splits: Mapping[str, Any]
) -> dict[str, Any]:
    """Metrics of a network on all splits.

    Args:
        network: whose weights are tested; put in eval mode.
        config: of the run.
        splits: as `scored_splits` gives them.
    """
    modality = getattr(network.config, 'modality', 'thermal')
    network.eval().cpu()
    report: dict[str, Any] = {}
    for name, frames in splits.items():
        if not len(frames):
            continue
        found = score(
            lambda image: network(image).logits, frames, modality, name=f'{modality} {name}',
            image_size=config.image_size, bounds_px=BOUNDS_PX, label_set=config.label_set,
        )  # fmt: skip
        report[name] = found.metrics | by_temperature(found.metrics['iou'])
    if 'real_tiles' in report:
        report['real_tiles']['note'] = REAL_TILES_NOTE
    if isinstance(network, EKNet) and network.enhancement is not None:
        report['enhancement'] = enhancement_report(network, splits['test'], config.label_set)
    return report


def by_temperature(iou: Mapping[str, float | None]) -> dict[str, float | None]:
    """Mean IoU of the hot and of the cold classes; None where no class of a group is known.

    Args:
        iou: by class name; a label set may lack classes.
    """
    means: dict[str, float | None] = {}
    for group, names in (('miou_hot', HOT), ('miou_cold', COLD)):
        known = [value for name in names if (value := iou.get(name)) is not None]
        means[group] = round(float(np.mean(known)), 4) if known else None
    return means


@torch.no_grad()
def enhancement_report(
    network: EKNet, frames: Sequence[LabeledFrame], label_set: LabelSet
) -> dict[str, Any]:
    """The exponents that a student chooses, and what they do to contrast at outlines.

    Args:
        network: with enhancement.
        frames: with labels.
        label_set: of these.

    Returns:
        `exponent` (mean, least, most) and `contrast_ratio` (after over before) by class.
    """
    assert network.enhancement is not None
    network.eval()
    before, after = (BoundaryContrast(label_set.num_classes) for _ in range(2))
    exponents = []
    for index in range(len(frames)):
        frame = frames[index]
        image, box = network_image(frame, 'thermal', network.config.image_size)
        enhanced = network.enhancement(torch.from_numpy(image))
        exponents.append(float(enhanced.exponent))
        height, width = box.content_size
        label = cv2.resize(
            np.asarray(frame.label), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        for contrast, shown in ((before, image), (after, enhanced.image.numpy())):
            contrast.update(shown[0, 0, :height, :width], label)
    ratios = after.mean() / before.mean()
    return {
        'exponent': {
            'mean': round(float(np.mean(exponents)), 4),
            'least': round(min(exponents), 4),
            'most': round(max(exponents), 4),
        },
        'contrast_ratio': {
            name: round(float(ratio), 4) if np.isfinite(ratio) else None
            for name, ratio in zip(label_set.names, ratios, strict=True)
        },
    }


@torch.no_grad()
def show(network: Any, frames: Sequence[LabeledFrame], config: CekdConfig) -> dict[str, Array]:
    """Some frames as pictures: heat, labels, what the network says; uint8 [height, 3 width, 3].

    Args:
        network: `CENet` or a student, in eval mode.
        frames: with labels; the first ones are shown.
        config: of the run.
    """
    image_size, palette = config.image_size, config.label_set.palette
    modality = getattr(network.config, 'modality', 'thermal')
    device = next(network.parameters()).device
    pictures = {}
    for index in range(min(_SHOWN, len(frames))):
        frame = frames[index]
        image, _ = network_image(frame, modality, image_size)
        heat, _ = network_image(frame, 'thermal', image_size)
        mask = network(torch.from_numpy(image).to(device)).logits[0].argmax(dim=0)
        label = cv2.resize(
            np.asarray(frame.label), image_size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
        colors = (palette[part] for part in (label, mask.byte().cpu().numpy()))
        pictures[f'frame {index}'] = np.concatenate([gray_picture(heat[0, 0]), *colors], axis=1)
    return pictures


def table_row(name: str, metrics: Mapping[str, Any]) -> str:
    """One row of the table in percent: mIoU, mAcc, hot and cold classes, boundary F at 3 px."""
    columns = ('miou', 'macc', 'miou_hot', 'miou_cold', 'boundary_f_3px')
    values = (metrics[column] for column in columns)
    return f'| {name} | ' + ' | '.join(percent(value) for value in values) + ' |'
