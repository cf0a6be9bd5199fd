# SPDX-License-Identifier: Apache-2.0
"""Scores and pictures of a student that learnt with InverseForm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from kd_perception.markdown import percent
from training.boundary_student import BoundaryStudent
from training.data.held_out import Splits, held_out, shown_split
from training.data.modality import LabeledFrame, network_image
from training.evaluation import REAL_TILES_NOTE, score
from training.inverse_networks import weight_count
from training.pictures import gray_picture
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import split_frames
from training.recipes.inverse_form_losses import edge_probability
from training.recipes.inverse_form_modules import InverseModule

Array = npt.NDArray[Any]

BOUNDS_PX = (1, 2, 3, 5)

_SHOWN = 4


def scored_splits(config: InverseFormConfig, names: Sequence[str] = ()) -> Splits:
    """Frames that the student is scored on, by name.

    Args:
        config: of the run.
        names: of those that are wanted; all if empty.
    """
    return held_out(config, lambda name: split_frames(config, name), names)


def evaluate(
    network: nn.Module,
    student: BoundaryStudent,
    config: InverseFormConfig,
    inverse: InverseModule | None = None,
) -> dict[str, Any]:
    """Metrics of what is deployed on all splits, and what is left behind.

    Args:
        network: without its boundary head, in eval mode on the CPU.
        student: with it.
        config: of the run.
        inverse: that it learnt through, if any.
    """
    learnt = student if config.student.looks_at_boundaries else student.student
    frozen = 0 if inverse is None else weight_count(inverse.network)
    weights = {'training': weight_count(learnt) + frozen, 'deployed': weight_count(network)}
    report: dict[str, Any] = {'weights': weights}
    for name, frames in scored_splits(config).items():
        if not len(frames):
            continue
        found = score(
            network, frames, config.modality, name=name,
            image_size=config.image_size, bounds_px=BOUNDS_PX, label_set=config.label_set,
        )  # fmt: skip
        report[name] = found.metrics
    if 'real_tiles' in report:
        report['real_tiles']['note'] = REAL_TILES_NOTE
    return report


def shown_frames(config: InverseFormConfig) -> Sequence[LabeledFrame]:
    """Frames for pictures while a network learns; of the training split where no other is left."""
    return split_frames(config, shown_split(config))


@torch.no_grad()
def show(
    student: BoundaryStudent, frames: Sequence[LabeledFrame], config: InverseFormConfig
) -> dict[str, Array]:
    """Some frames as pictures: first channel, labels, mask, boundaries; uint8 [h, 4 w, 3].

    Args:
        student: in eval mode.
        frames: with labels; the first ones are shown.
        config: of the run.
    """
    size, palette = config.image_size, config.label_set.palette
    device = next(student.parameters()).device
    pictures = {}
    for index in range(min(_SHOWN, len(frames))):
        frame = frames[index]
        image, _ = network_image(frame, config.modality, size)
        output = student(torch.from_numpy(image).to(device))
        mask = output.logits[0].argmax(dim=0).byte().cpu().numpy()
        label = np.asarray(frame.label)
        masks = (
            palette[cv2.resize(each, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)]
            for each in (label, mask)
        )
        edges = edge_probability(output, size)[0].cpu().numpy()
        first, last = (gray_picture(plane) for plane in (image[0, 0], edges))
        pictures[f'frame {index}'] = np.concatenate([first, *masks, last], axis=1)
    return pictures


def table_row(name: str, metrics: Mapping[str, Any]) -> str:
    """One row of the table in percent: mIoU, mAcc, boundary F at 1, 2, 3 and 5 px."""
    columns = ('miou_nanmean', 'macc_nanmean', *(f'boundary_f_{k}px' for k in BOUNDS_PX))
    values = (metrics[column] for column in columns)
    return f'| {name} | ' + ' | '.join(percent(value) for value in values) + ' |'
