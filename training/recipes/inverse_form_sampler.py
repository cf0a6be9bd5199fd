# SPDX-License-Identifier: Apache-2.0
"""Transforms that stage 1 of InverseForm warps tiles by: random ones, or a transformer's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kd_perception.models import RepUNet, RepUNetConfig
from training.data.modality import CHANNELS
from training.distributed import Fabric
from training.engine import fit, new_run, restore
from training.losses import MeanCount, segmentation_loss
from training.plane_transforms import NAMES
from training.process_counts import counts_of_all
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import Drawing
from training.recipes.inverse_form_tiles import TransformSampler
from training.spatial_transformer import TransformedSegmenter

Array = npt.NDArray[Any]

_ASKED_STEP = 2**31
"""Of the samples that are asked for their transforms; no training step is as late."""


class Sampling(NamedTuple):
    """What draws the transforms of a run.

    Attributes:
        sampler: of the transforms.
        choices: of a transformer, see `told_choices`; empty where transforms are random.
        seconds: that the transformer was trained.
    """

    sampler: TransformSampler
    choices: dict[str, Any]
    seconds: float


def new_sampling(config: InverseFormConfig, fabric: Fabric, weight: Tensor | None) -> Sampling:
    """What draws the transforms of a run; trains a spatial transformer where that is wanted.

    Args:
        config: of the run.
        fabric: from `launch`.
        weight: of the classes in the loss of the transformer.
    """
    count = config.inverse.network.parameters
    if config.inverse.sampler == 'random':
        return Sampling(TransformSampler(count), {}, 0.0)
    network, seconds = trained_transformer(config, fabric, weight)
    chosen = chosen_transforms(network, config)
    sampler = TransformSampler(count, chosen, config.inverse.transformer.jitter)
    return Sampling(sampler, told_choices(chosen), seconds)


def told_choices(chosen: Array) -> dict[str, Any]:
    """`mean` and `spread` (standard deviation) of each parameter, as shares of their ranges.

    Args:
        chosen: float [frames, parameters].
    """
    names = NAMES[: chosen.shape[1]]
    parts = {'mean': chosen.mean(axis=0), 'spread': chosen.std(axis=0)}
    told: dict[str, Any] = {
        part: {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
        for part, values in parts.items()
    }
    return {**told, 'frames': len(chosen)}


def trained_transformer(
    config: InverseFormConfig, fabric: Fabric, weight: Tensor | None
) -> tuple[TransformedSegmenter, float]:
    """A transformer and its network, trained to segment unless they are there already.

    Returns:
        Both, in eval mode on the CPU, and the seconds that they were trained.
    """
    own = config.inverse.transformer
    torch.manual_seed(config.seed)
    sizes = RepUNetConfig.preset(
        own.network,
        in_channels=CHANNELS[config.drawn_modality],
        out_channels=config.label_set.num_classes,
    )
    count = config.inverse.network.parameters
    network = TransformedSegmenter(RepUNet(sizes), count, own.ranges)
    run = new_run(network, own.loop, own.optimizer)
    folder, fingerprint = config.inverse_folder / 'transformer', config.inverse_fingerprint()
    restore(run, folder, fingerprint)
    if weight is None:
        weight = torch.ones(config.label_set.num_classes)
    weight, mean_count = weight.to(fabric.device), counts_of_all(fabric)
    if run.step < own.loop.steps:
        fit(
            run,
            fabric=fabric,
            loop=own.loop,
            optimizer_config=own.optimizer,
            draw=Drawing(config, labeled_only=True),
            losses=lambda wrapped, batch: _segmentation(wrapped, batch, weight, mean_count),
            folder=folder,
            fingerprint=fingerprint,
            seed=config.seed,
            workers=config.launch.workers,
            title=f'transformer, seed {config.seed}',
        )
    trained: Any = run.network if run.average is None else run.average
    return trained.cpu().eval().requires_grad_(False), run.seconds


def _segmentation(
    network: nn.Module, batch: tuple[Tensor, ...], weight: Tensor, mean_count: MeanCount | None
) -> dict[str, Tensor]:
    images, labels = batch
    loss = segmentation_loss(network(images), labels, weight=weight, mean_count=mean_count)
    return {'segmentation': loss}


@torch.no_grad()
def chosen_transforms(network: TransformedSegmenter, config: InverseFormConfig) -> Array:
    """What a transformer chooses on training views, float32 [frames, parameters].

    Args:
        network: in eval mode, on the CPU.
        config: of the run.
    """
    draw = Drawing(config)
    found = []
    for index in range(config.inverse.transformer.frames):
        image, _ = draw(_ASKED_STEP, index)
        found.append(network.transformer(torch.from_numpy(image)[None])[0].numpy())
    return np.stack(found)
