# SPDX-License-Identifier: Apache-2.0
"""A spatial transformer in front of a segmentation network, whose class scores are moved back.

It chooses the view in which the network segments best. What it chooses on the images of a data set
would be transforms that occur there, and go together as they do there.

Left to itself it chooses one transform for all images, at the ends of the ranges: zooming in helps
everywhere. Here the mean over the images is taken away, so that only what differs between images
is left to choose, and how far choices differ is a weight that is learnt.

Reference:
    M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, "Spatial Transformer Networks",
    NeurIPS 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.models import RepUNet
from training.plane_transforms import (
    TransformRanges,
    check_count,
    looked_up,
    matrices_from_parameters,
)

_WIDTHS = (16, 32, 64, 64)


class SpatialTransformer(nn.Module):
    """Parameters of a transform from an image, within their ranges; at first the identity.

    Args:
        in_channels: of the image, >= 1.
        count: of parameters: 4, 6 or 8.
    """

    def __init__(self, in_channels: int, count: int) -> None:
        super().__init__()
        check_count(count)
        layers: list[nn.Module] = []
        for before, after in zip((in_channels, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after)]
            layers += [nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.layers = nn.Sequential(
            nn.Linear(16 * _WIDTHS[-1], 32), nn.ReLU(), nn.Linear(32, count)
        )
        self.normalization = nn.BatchNorm1d(count, affine=False)
        self.spread = nn.Parameter(torch.zeros(count))

    def forward(self, image: Tensor) -> Tensor:
        """Shares of the ranges, [batch, count], -1 to 1, of images [batch, channels, h, w].

        In training at least two images in all processes together, whose mean is taken away.
        """
        places = functional.adaptive_avg_pool2d(self.convolutions(image), 4)
        return torch.tanh(self.spread * self.normalization(self.layers(places.flatten(1))))


class TransformedSegmenter(nn.Module):
    """Segments what a spatial transformer shows, and moves the class scores back.

    Args:
        network: that segments.
        count: of parameters: 4, 6 or 8.
        ranges: of the parameters.
    """

    def __init__(self, network: RepUNet, count: int, ranges: TransformRanges) -> None:
        super().__init__()
        self.transformer = SpatialTransformer(network.config.in_channels, count)
        self.network = network
        self.ranges = ranges

    def forward(self, image: Tensor) -> Tensor:
        """Class scores [batch, classes, height / 4, width / 4], 0 where nothing was shown."""
        parameters = self.transformer(image).float()
        with torch.autocast(image.device.type, enabled=False):
            matrices = matrices_from_parameters(parameters, self.ranges)
            shown = looked_up(image.float(), matrices)
            back = torch.linalg.inv(matrices)
        logits: Tensor = self.network(shown)
        with torch.autocast(image.device.type, enabled=False):
            return looked_up(logits.float(), back)
