# SPDX-License-Identifier: Apache-2.0
"""Networks from the description that a bundle or a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kd_perception.errors import ConfigError
from kd_perception.models.cenet import CENet, CENetConfig
from kd_perception.models.eknet import EKNet, EKNetConfig
from kd_perception.models.rep_unet import FoldedBlock, RepUNet, RepUNetConfig

NETWORKS = ('rep_unet', 'cenet', 'eknet')


class LogitsOnly(nn.Module):
    """A teacher or student that gives its logits alone, as a bundle and its graph need them.

    Args:
        network: stays the same object; this one shares its weights.
    """

    def __init__(self, network: CENet | EKNet) -> None:
        """Hold the network."""
        super().__init__()
        self.network = network

    @property
    def config(self) -> CENetConfig | EKNetConfig:
        """Sizes of the network."""
        return self.network.config

    def forward(self, image: Tensor) -> Tensor:
        """Map [batch, in_channels, *image_size] to [batch, out_channels, *image_size]."""
        logits: Tensor = self.network(image).logits
        return logits


def build_trainable_network(architecture: Mapping[str, Any]) -> RepUNet | CENet | EKNet:
    """The network of a description in the form that is trained and taught from.

    Args:
        architecture: `{'name': ..., 'config': {...}}`, as the `architecture` of a network's config
            gives it.

    Raises:
        ConfigError: unknown name, or a config that does not fit it.
    """
    name, config = architecture.get('name'), architecture.get('config', {})
    try:
        if name == 'rep_unet':
            return RepUNet(RepUNetConfig(**config))
        if name == 'cenet':
            return CENet(CENetConfig(**config))
        if name == 'eknet':
            return EKNet(EKNetConfig(**config))
    except TypeError as error:
        raise ConfigError(f'architecture config must fit {name}: {error}') from error
    raise ConfigError(f'architecture name must be one of {list(NETWORKS)}, got {name!r}')


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """The inference network that a student bundle describes: an image in, logits out, eval mode.

    Its state dict has the names of the bundle's `student.safetensors`: those of `RepUNet.folded`
    or of `LogitsOnly`.

    Args:
        architecture: `{'name': ..., 'config': {...}}`, as the `architecture` of a network's config
            gives it.

    Raises:
        ConfigError: unknown name, or a config that does not fit it.
    """
    network = build_trainable_network(architecture)
    if isinstance(network, RepUNet):
        return RepUNet(network.config, FoldedBlock).eval()
    return LogitsOnly(network).eval()
