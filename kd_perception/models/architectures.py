# SPDX-License-Identifier: Apache-2.0
"""Networks from the description that a bundle or a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models.cenet import CENet, CENetConfig
from kd_perception.models.eknet import EKNet, EKNetConfig
from kd_perception.models.hrnet import HRNet, HRNetConfig
from kd_perception.models.monodepth_unet import MonodepthUNet, MonodepthUNetConfig
from kd_perception.models.pose_network import PoseNetwork, PoseNetworkConfig
from kd_perception.models.pspnet import PSPNet, PSPNetConfig
from kd_perception.models.rep_unet import FoldedBlock, RepUNet, RepUNetConfig

Network = RepUNet | CENet | EKNet | HRNet | PSPNet | MonodepthUNet | PoseNetwork

_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Network]] = {
    'rep_unet': lambda config: RepUNet(RepUNetConfig(**config)),
    'cenet': lambda config: CENet(CENetConfig(**config)),
    'eknet': lambda config: EKNet(EKNetConfig(**config)),
    'hrnet': lambda config: HRNet(HRNetConfig(**config)),
    'pspnet': lambda config: PSPNet(PSPNetConfig(**config)),
    'monodepth_unet': lambda config: MonodepthUNet(MonodepthUNetConfig(**config)),
    'pose_network': lambda config: PoseNetwork(PoseNetworkConfig(**config)),
}


class LogitsOnly(nn.Module):
    """A teacher or student that gives its logits alone, as a bundle and its graph need them.

    Args:
        network: stays the same object; this one shares its weights.
    """

    def __init__(self, network: CENet | EKNet | HRNet | PSPNet) -> None:
        """Hold the network."""
        super().__init__()
        self.network = network

    @property
    def config(self) -> CENetConfig | EKNetConfig | HRNetConfig | PSPNetConfig:
        """Sizes of the network."""
        return self.network.config

    def forward(self, image: Tensor) -> Tensor:
        """Map [batch, in_channels, height, width] to the logits of the network."""
        logits: Tensor = self.network(image).logits
        return logits


class LogDepthAndSigma(nn.Module):
    """A depth network that gives the two maps of a depth student, at the size of the image.

    Args:
        network: stays the same object; this one shares its weights.
    """

    def __init__(self, network: MonodepthUNet) -> None:
        """Hold the network."""
        super().__init__()
        self.network = network

    @property
    def config(self) -> MonodepthUNetConfig:
        """Sizes of the network."""
        return self.network.config

    def forward(self, image: Tensor) -> Tensor:
        """Map [batch, in_channels, height, width] to [batch, 2, height, width].

        The two maps are the natural logarithms of depth in meters and of its uncertainty.
        """
        output = self.network(image)
        far, near = 1.0 / self.config.max_depth_m, 1.0 / self.config.min_depth_m
        log_depth = -torch.log(far + (near - far) * output.disparities[0])
        return torch.cat([log_depth, output.log_sigmas[0]], 1)


def build_trainable_network(architecture: Mapping[str, Any]) -> Network:
    """The network of a description in the form that is trained and taught from.

    Args:
        architecture: `{'name': ..., 'config': {...}}`, as the `architecture` of a network's config
            gives it.

    Raises:
        ConfigError: unknown name, or a config that does not fit it.
    """
    name, config = architecture.get('name'), architecture.get('config', {})
    if not isinstance(name, str) or name not in _BUILDERS:
        raise ConfigError(f'architecture name must be one of {list(_BUILDERS)}, got {name!r}')
    try:
        return _BUILDERS[name](config)
    except TypeError as error:
        raise ConfigError(f'architecture config must fit {name}: {error}') from error


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """The inference network that a student bundle describes: image in, maps out, eval mode.

    The maps are logits of classes, or log depth and log sigma. Its state dict has the names of the
    bundle's `student.safetensors`: those of `RepUNet.folded`, `LogitsOnly` or `LogDepthAndSigma`.

    Args:
        architecture: `{'name': ..., 'config': {...}}`, as the `architecture` of a network's config
            gives it.

    Raises:
        ConfigError: unknown name, a config that does not fit it, or a network that is no student.
    """
    network = build_trainable_network(architecture)
    if isinstance(network, RepUNet):
        return RepUNet(network.config, FoldedBlock).eval()
    if isinstance(network, MonodepthUNet):
        return LogDepthAndSigma(network).eval()
    if isinstance(network, PoseNetwork):
        raise ConfigError(
            'the architecture of a student must map one image, got pose_network, which maps '
            'several frames to motions: it serves in training only'
        )
    return LogitsOnly(network).eval()
