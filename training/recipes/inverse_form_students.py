# SPDX-License-Identifier: Apache-2.0
"""The networks that learn with InverseForm, by name, and what of them leaves training.

| architecture | presets | sees |
|---|---|---|
| `rep_unet` | `rep_unet`, `rep_unet_s` | anything |
| `eknet` | `paper`, `small`, `tiny` | heat |
| `cenet` | `paper`, `small`, `tiny`; without its edge module | anything |
| `hrnet` | `w18`, `w48`, `tiny` | anything |
| `pspnet` | `paper`, `tiny`: the student, of depth 18 | anything |

A network is added by a function from the configuration to it: `training.boundary_student` says
what its output must have. These show no features, and cannot take the head: U-Net and MFNet of
`training.baseline_networks`, and the networks of EPS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models import (
    CENet,
    CENetConfig,
    EKNet,
    EKNetConfig,
    HRNet,
    HRNetConfig,
    LogitsOnly,
    PSPNet,
    PSPNetConfig,
    RepUNet,
    RepUNetConfig,
)
from training.boundary_student import BoundaryStudent, feature_channels
from training.data.modality import CHANNELS
from training.deployment import deployable
from training.first_weights import take_over
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_networks import new_student as new_cekd_student
from training.recipes.compress_config import CompressConfig
from training.recipes.inverse_form_config import InverseFormConfig


def _rep_unet(config: InverseFormConfig) -> nn.Module:
    network = RepUNet(RepUNetConfig.preset(config.student.network, **_channels(config)))
    run = config.host.run()
    if isinstance(run, CompressConfig):
        take_over(network, run.start_folder)
    return network


def _eknet(config: InverseFormConfig) -> nn.Module:
    run = config.host.run()
    if isinstance(run, CekdConfig):
        return new_cekd_student(run.student_network())
    if config.modality != 'thermal':
        raise ConfigError(f'eknet sees thermal images, got modality {config.modality!r}')
    return EKNet(
        EKNetConfig.preset(
            config.student.network,
            image_size=config.image_size,
            out_channels=config.label_set.num_classes,
            nonnegative_logits=False,
            enhancement='softplus',
        )
    )


def _cenet(config: InverseFormConfig) -> nn.Module:
    return CENet(
        CENetConfig.preset(
            config.student.network,
            image_size=config.image_size,
            out_channels=config.label_set.num_classes,
            nonnegative_logits=False,
            modality=config.modality,
            edge_stage=None,
        )
    )


def _hrnet(config: InverseFormConfig) -> nn.Module:
    return HRNet(HRNetConfig.preset(config.student.network, **_channels(config)))


def _pspnet(config: InverseFormConfig) -> nn.Module:
    sizes = _channels(config)
    return PSPNet(PSPNetConfig.preset(config.student.network, ceil_pooling=False, **sizes))


def _channels(config: InverseFormConfig) -> dict[str, Any]:
    classes = config.label_set.num_classes
    return {'in_channels': CHANNELS[config.modality], 'out_channels': classes}


NETWORKS: dict[str, Callable[[InverseFormConfig], nn.Module]] = {
    'rep_unet': _rep_unet,
    'eknet': _eknet,
    'cenet': _cenet,
    'hrnet': _hrnet,
    'pspnet': _pspnet,
}


def new_student(config: InverseFormConfig) -> BoundaryStudent:
    """The student of a run with its boundary head and its first weights.

    Raises:
        ConfigError: its architecture or preset is unknown or does not see the modality, or the
            weights that its host starts from are not there.
    """
    name = config.student.architecture
    if name not in NETWORKS:
        raise ConfigError(f'architecture must be one of {list(NETWORKS)}, got {name!r}')
    network: Any = NETWORKS[name](config)
    if config.student.weights_file:
        if not hasattr(network, 'load_imagenet_weights'):
            raise ConfigError(f'{name} starts from no weights_file, got one')
        network.load_imagenet_weights(Path(config.student.weights_file))
    image = torch.zeros(1, CHANNELS[config.modality], *config.image_size)
    return BoundaryStudent(network, feature_channels(network, image))


def without_head(
    student: BoundaryStudent, weight: Tensor | None, prior_correction: float
) -> nn.Module:
    """What is scored and exported: the network alone, which gives logits, in eval mode.

    Args:
        student: trained, on the CPU; stays as it is.
        weight: of the classes in the loss [classes]; None where all weighed the same.
        prior_correction: share of their logarithm that is taken back from the logits of
            `rep_unet`.
    """
    network: Any = student.student.eval()
    if isinstance(network, RepUNet):
        return deployable(network, weight, prior_correction)
    return LogitsOnly(network).eval()
