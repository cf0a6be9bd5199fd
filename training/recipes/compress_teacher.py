# SPDX-License-Identifier: Apache-2.0
"""Who teaches a student of `compress`: a network of CEKD or a bundle, from images to scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_perception.backends.torch_backend import load_network
from kd_perception.errors import ConfigError
from kd_perception.label_sets import MFNET
from training.distributed import Fabric
from training.recipes.cekd_data import class_weight
from training.recipes.cekd_losses import seen_by, unweighted
from training.recipes.cekd_trained import steps_of, trained_network
from training.recipes.compress_config import CompressConfig

_STRIDES = (1, 2, 4)


@dataclass(frozen=True)
class Teacher:
    """Who teaches.

    Attributes:
        logits: from a batch [batch, channels, height, width] to class scores of that size, or of
            a half or a quarter of it; of a teacher whose answers are reweighed, those without its
            weights of the classes.
        weight: of the classes, to be counted again by terms that weigh by class; None counts all
            alike.
    """

    logits: Callable[[Tensor], Tensor]
    weight: Tensor | None = None


def load_teacher(config: CompressConfig, fabric: Fabric) -> Teacher | None:
    """The teacher of a run, if there is one.

    Raises:
        ConfigError: it is not trained to its end, was built for images of another size or for the
            classes of another label set, or has no weights of the classes to be reweighed.
        BundleError: there is no bundle in its folder, or it is damaged.
        BackendError: the weights of the bundle do not fit its architecture.
    """
    if config.teacher.bundle:
        return _of_bundle(config, fabric)
    return _of_run(config, fabric) if config.teacher.config else None


def _of_bundle(config: CompressConfig, fabric: Fabric) -> Teacher:
    student = config.teacher.student()
    found, stride = [each.name for each in student.spec.classes], student.spec.output_stride
    if found != list(MFNET.names) or stride not in _STRIDES:
        raise ConfigError(
            f'the bundle that teaches must know {list(MFNET.names)} at a stride of {_STRIDES}, '
            f'got {found} at {stride} in {config.teacher.bundle}'
        )
    network = load_network(student).to(fabric.device)
    modality = student.spec.input.modality

    @torch.no_grad()
    def taught(images: Tensor) -> Tensor:
        with fabric.autocast():
            logits: Tensor = network(seen_by(images, modality))
        return logits.float()

    return Teacher(taught)


def _of_run(config: CompressConfig, fabric: Fabric) -> Teacher:
    source = config.teacher.run()
    if source.label_set is not MFNET:
        raise ConfigError(f'the teacher must know classes of MFNet, got {source.label_set.title}')
    view = config.augmentation.view
    if source.image_size != (view.height, view.width):
        raise ConfigError(
            f'training frames must have the size that the teacher was built for, '
            f'{list(source.image_size)}, got {[view.height, view.width]}: set augmentation.view'
        )
    network, step = trained_network(source, config.teacher.role)
    steps = steps_of(source, config.teacher.role)
    if step < steps:
        raise ConfigError(
            f'the teacher must be trained to its end, it is at step {step} of {steps}: go on with '
            f'{config.teacher.config}'
        )
    network.requires_grad_(False).to(fabric.device)
    modality = getattr(network.config, 'modality', 'thermal')
    weight = class_weight(source) if config.reweighed else None
    if weight is None and config.reweighed:
        raise ConfigError(
            'only answers of a teacher that learnt with class_weighted can be reweighed: set '
            f'reweigh to false, or class_weighted in {config.teacher.config}'
        )
    weight = None if weight is None else weight.to(fabric.device)

    @torch.no_grad()
    def taught(images: Tensor) -> Tensor:
        with fabric.autocast():
            logits = network(seen_by(images, modality)).logits.float()
        return logits if weight is None else unweighted(logits, weight)

    return Teacher(taught, weight)
