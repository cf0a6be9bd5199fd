# SPDX-License-Identifier: Apache-2.0
"""A segmentation network with a boundary head beside its own, for training alone.

Any network plugs in whose output has `logits` and, at a quarter or an eighth of the image, `hint`
(a decoder's features, as EKNet and CENet give them) or `features` (HRNet, PSPNet); `rep_unet`,
which gives logits alone, is asked for its features. What leaves training is the network: its
weights and its graph know nothing of the head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models import RepUNet


class BoundaryOutput(NamedTuple):
    """What a network with a boundary head gives.

    Attributes:
        logits: class scores of the network, [batch, classes, h, w].
        edge_logits: [batch, 1, h', w']; their sigmoid is the probability of a boundary.
        student: all that the network gives.
    """

    logits: Tensor
    edge_logits: Tensor
    student: Any


class BoundaryHead(nn.Module):
    """Boundaries from features: 1x1 convolution, normalization, ReLU, 1x1 convolution.

    Otherwise than in the auxiliary head of the authors' code there is no sigmoid at its end, which
    a loss on logits would apply once more.

    Args:
        channels: of the features, and of the layer between.

    Reference:
        S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
        Boundary-Aware Segmentation", CVPR 2021.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to [batch, 1, height, width]."""
        edge_logits: Tensor = self.layers(features)
        return edge_logits


class BoundaryStudent(nn.Module):
    """A network and a boundary head on its features.

    Args:
        student: whose output is one of those that are told above.
        channels: of its features; `feature_channels` finds them.
    """

    def __init__(self, student: nn.Module, channels: int) -> None:
        super().__init__()
        self.student = student
        self.head = BoundaryHead(channels)

    def forward(self, image: Tensor) -> BoundaryOutput:
        """Class scores and boundaries of a batch of images."""
        output, features = seen_features(self.student, image)
        logits = output if isinstance(output, Tensor) else output.logits
        return BoundaryOutput(logits, self.head(features), output)


def seen_features(network: nn.Module, image: Tensor) -> tuple[Any, Tensor]:
    """What a network gives, and the features in which boundaries are looked for.

    Raises:
        ConfigError: it shows none.
    """
    if isinstance(network, RepUNet):
        features = network.features(image)
        return network.head(features), features
    output = network(image)
    for name in ('hint', 'features'):
        shown = getattr(output, name, None)
        if isinstance(shown, Tensor):
            return output, shown
    raise ConfigError(
        'a network with a boundary head must give logits and features, got '
        f'{type(output).__name__} from {type(network).__name__}'
    )


@torch.no_grad()
def feature_channels(network: nn.Module, image: Tensor) -> int:
    """Channels of the features in which boundaries are looked for.

    Args:
        network: stays as it is.
        image: [1, channels, height, width], of a size that the network takes; its values do not
            matter.

    Raises:
        ConfigError: the network shows no features.
        ShapeError: they are no map.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        _, features = seen_features(network.eval(), image)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if features.dim() != 4:
        raise ShapeError(
            f'features must be [batch, channels, height, width], got {list(features.shape)}'
        )
    return int(features.shape[1])
