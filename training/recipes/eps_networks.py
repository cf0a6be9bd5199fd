# SPDX-License-Identifier: Apache-2.0
"""The networks of an EPS run, the groups that their weights learn in, and what they minimize."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.models import (
    ClassMapNet,
    ClassMapOutput,
    DeepLab,
    DeepLabConfig,
    RepUNet,
    RepUNetConfig,
)
from training.data.tagged_frames import statistics
from training.engine import LoopConfig, Run
from training.losses import cross_entropy_loss, saliency_loss, segmentation_loss
from training.optimization import RATE_SCALE, OptimizerConfig, create_optimizer
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_parts import RatesConfig

LossTerms = dict[str, Tensor]


class NormalizedDeepLab(nn.Module):
    """DeepLab on images of 0 to 1, which it normalizes as its ImageNet weights expect.

    Args:
        sizes: of the network.
    """

    def __init__(self, sizes: DeepLabConfig) -> None:
        super().__init__()
        self.network = DeepLab(sizes)
        mean, deviation = (torch.from_numpy(part) for part in statistics(sizes.in_channels))
        self.register_buffer('mean', mean[:, None, None], persistent=False)
        self.register_buffer('deviation', deviation[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Any:
        """Scores of a batch, see `DeepLab.forward`; in training those of every scale."""
        output = self.network((image - self.mean) / self.deviation)
        return (output.logits, *output.pyramid) if self.training else output.logits


def new_classifier(config: EpsConfig) -> ClassMapNet:
    """A classifier with its first weights."""
    torch.manual_seed(config.seed)
    network = ClassMapNet(config.classifier.sizes(len(config.classes), config.modality))
    if config.classifier.weights_file:
        network.load_imagenet_weights(Path(config.classifier.weights_file))
    return network


def new_segmentation(config: EpsConfig) -> RepUNet | NormalizedDeepLab:
    """A segmentation network with its first weights."""
    torch.manual_seed(config.seed)
    sizes = config.segmentation.sizes(config.label_set.num_classes)
    if isinstance(sizes, RepUNetConfig):
        return RepUNet(sizes)
    network = NormalizedDeepLab(sizes)
    if config.segmentation.weights_file:
        network.network.load_imagenet_weights(Path(config.segmentation.weights_file))
    return network


def parameter_groups(
    network: nn.Module, heads: tuple[str, ...], rates: RatesConfig
) -> list[dict[str, Any]]:
    """Weights that learn, in up to four groups: of heads or not, offsets or not.

    Args:
        network: of the run.
        heads: beginnings of the names of the last layers.
        rates: of heads and offsets.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = name.startswith(heads), name.endswith('bias')
            groups.setdefault(key, []).append(parameter)
    return [_group(parameters, *key, rates) for key, parameters in sorted(groups.items())]


def _group(
    parameters: Iterable[nn.Parameter], head: bool, bias: bool, rates: RatesConfig
) -> dict[str, Any]:
    scale = (rates.head if head else 1.0) * (rates.bias if bias else 1.0)
    group: dict[str, Any] = {'params': list(parameters), RATE_SCALE: scale}
    return group | {'weight_decay': 0.0} if bias else group


def grouped_run(
    network: nn.Module,
    groups: list[dict[str, Any]],
    loop: LoopConfig,
    optimizer: OptimizerConfig,
) -> Run:
    """A run at its first step whose weights learn at rates of their own."""
    average = copy.deepcopy(network).eval() if loop.average_decay else None
    return Run(network.train(), average, create_optimizer(groups, optimizer))


def classifier_losses(
    network: Callable[[Tensor], ClassMapOutput],
    batch: tuple[Tensor, ...],
    config: EpsConfig,
    step: int,
) -> LossTerms:
    """The terms of the classifier; CAM, and the start of `tags_first_steps`, has the first alone.

    Args:
        network: the classifier.
        batch: images [batch, channels, side, side], saliency [batch, 1, side, side] and tags
            [batch, classes].
        config: of the run.
        step: of the run, from 0.
    """
    image, saliency, tags = batch
    own, output = config.classifier, network(image)
    terms = {'classification': functional.multilabel_soft_margin_loss(output.scores, tags)}
    if own.method == 'eps' and step >= own.tags_first_steps:
        background = tuple(config.classes.index(name) for name in own.background_classes)
        terms['saliency'] = own.saliency_weight * saliency_loss(
            output.maps,
            saliency,
            tags,
            overlap_threshold=own.overlap_threshold,
            blend=own.blend,
            selection=own.selection,
            background_classes=background,
        )
    return terms


def segmentation_losses(network: Callable[[Tensor], Any], batch: tuple[Tensor, ...]) -> LossTerms:
    """The terms of the segmentation network.

    Args:
        network: `RepUNet`, or `NormalizedDeepLab`, each of whose scales is compared with labels of
            its own resolution.
        batch: images [batch, channels, height, width] of 0 to 1 and labels [batch, height, width].
    """
    image, label = batch
    logits = network(image)
    if isinstance(logits, Tensor):
        weight = torch.ones(logits.shape[1], device=logits.device)
        return {'segmentation': segmentation_loss(logits, label, weight=weight)}
    names = ['segmentation', *(f'scale_{k}' for k in range(len(logits) - 1))]
    return {
        name: cross_entropy_loss(part, _label_at(label, part))
        for name, part in zip(names, logits, strict=True)
    }


def _label_at(label: Tensor, logits: Tensor) -> Tensor:
    height, width = logits.shape[-2:]
    nearest = functional.interpolate(label[:, None].float(), size=(height, width))
    return nearest[:, 0].long()
