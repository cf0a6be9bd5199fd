# SPDX-License-Identifier: Apache-2.0
"""Scores of the networks of channel-wise distillation, small things apart from large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from kd_perception.markdown import percent
from training.data.modality import LabeledFrame
from training.evaluation import Tally, infer
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import split_frames
from training.recipes.channel_wise_networks import Segmenter
from training.size_scores import SizeScores

COLUMNS = ('miou_nanmean', 'miou_frequent', 'miou_rare', 'macc_nanmean', 'boundary_f_3px')


def evaluate(network: Segmenter, config: ChannelWiseConfig) -> dict[str, Any]:
    """Metrics of a network on all splits but that which it learnt from.

    Args:
        network: on the device that shall compute.
        config: of the run.
    """
    names = [name for name in config.split_names if name != 'train']
    return {name: score_split(network, config, name) for name in names}


def score_split(network: Segmenter, config: ChannelWiseConfig, name: str) -> dict[str, Any]:
    """Metrics of a network on the whole images of a split, as in `training.evaluation`.

    Beside them `by_size`, see `SizeScores.report`.
    """
    return _scored(network.eval(), config, split_frames(config, name), name)


def _scored(
    network: Segmenter, config: ChannelWiseConfig, frames: Sequence[LabeledFrame], name: str
) -> dict[str, Any]:
    tally = Tally((3,), config.label_set, calibrated=False)
    sizes = SizeScores(config.label_set)
    device = next(network.parameters()).device

    def scores(images: Tensor) -> Tensor:
        return network.scores(images.to(device)).cpu()

    for k in tqdm(range(len(frames)), desc=f'score {name}', unit='frame'):
        frame = frames[k]
        label = np.asarray(frame.label)
        logits, box = infer(scores, frame, network.config.modality, config.image_size)
        sizes.update(tally.update(logits, box, label), label)
    return {**tally.scores().metrics, 'by_size': sizes.report()}


def table_row(name: str, metrics: Mapping[str, Any]) -> str:
    """One row of a table in percent: mIoU, frequent and rare classes, mAcc, boundary F at 3 px."""
    values = (metrics[column] for column in COLUMNS)
    return f'| {name} | ' + ' | '.join(percent(value) for value in values) + ' |'
