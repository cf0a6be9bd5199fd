# SPDX-License-Identifier: Apache-2.0
"""Networks that estimate the transform between two boundary tiles, for training alone.

`dense` is the network of InverseForm. Its reviewers asked whether flattening throws the places
away. The others answer: they see the same tiles, end in the same two layers, and are as large.

| architecture | what it does |
|---|---|
| `dense` | perceptron over all pixels |
| `cnn_flatten` | four strided convolutions, then a perceptron over all places |
| `cnn_gap` | the same, then the mean over the places |
| `cnn_gap_coordinates` | the same, with two more input channels that say where a pixel is |
| `correlation` | features of each tile by itself, and how alike they are at displaced places |

Reference:
    S. Borse, Y. Wang, Y. Zhang, F. Porikli, "InverseForm: A Loss Function for Structured
    Boundary-Aware Segmentation", CVPR 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.plane_transforms import check_count
from training.tensor_checks import check_shape

ARCHITECTURES = ('dense', 'cnn_flatten', 'cnn_gap', 'cnn_gap_coordinates', 'correlation')
TILE_MULTIPLE = 16

_LAST = 32
_GRID = 8
"""Places along a side at which the tiles are correlated, at least."""


@dataclass(frozen=True)
class InverseNetworkConfig:
    """Sizes of an inverse network.

    Args:
        architecture: one of `ARCHITECTURES`.
        tile: side of the tiles in pixels, a multiple of 16; 224 in the paper.
        parameters: 4, 6 or 8.
        hidden: width of the first layer of the dense network, >= 1; 1000 in the paper. The others
            have about as many weights as the dense network would have.
    """

    architecture: str = 'dense'
    tile: int = 224
    parameters: int = 4
    hidden: int = 1000

    def __post_init__(self) -> None:
        """Check names and ranges."""
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f'architecture must be one of {list(ARCHITECTURES)}, got {self.architecture!r}'
            )
        if self.tile < TILE_MULTIPLE or self.tile % TILE_MULTIPLE:
            raise ConfigError(f'tile must be a multiple of {TILE_MULTIPLE}, got {self.tile}')
        if self.hidden < 1:
            raise ConfigError(f'hidden must be >= 1, got {self.hidden}')
        check_count(self.parameters)


class DenseInverse(nn.Module):
    """2 tile² -> hidden -> 32 -> parameters, with ReLU between."""

    def __init__(self, config: InverseNetworkConfig) -> None:
        super().__init__()
        self.config = config
        first = nn.Linear(2 * config.tile**2, config.hidden)
        self.layers = nn.Sequential(first, nn.ReLU(), *_last_layers(config.hidden, config))

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Shares of the ranges, [tiles, parameters], of the transform from true to predicted.

        Args:
            predicted: probabilities of boundaries, [tiles, 1, tile, tile].
            true: of the same shape.

        Raises:
            ShapeError: other shapes.
        """
        check_tiles(predicted, true, self.config.tile)
        vector = torch.cat([predicted.flatten(1), true.flatten(1)], dim=1)
        return self.layers(vector)


class ConvolutionalInverse(nn.Module):
    """Four strided convolutions over both tiles, then all places or their mean.

    Args:
        config: sizes.
        width: channels of the first convolution; each doubles them.
    """

    def __init__(self, config: InverseNetworkConfig, width: int) -> None:
        super().__init__()
        self.config = config
        coordinates = config.architecture == 'cnn_gap_coordinates'
        self.register_buffer('places', _places(config.tile) if coordinates else None, False)
        widths = (4 if coordinates else 2, *(width * 2**k for k in range(4)))
        self.convolutions = nn.Sequential(*(_strided(widths[k], widths[k + 1]) for k in range(4)))
        self.pooled = config.architecture != 'cnn_flatten'
        places = 1 if self.pooled else (config.tile // TILE_MULTIPLE) ** 2
        self.layers = nn.Sequential(*_last_layers(places * widths[-1], config))

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """As of `DenseInverse`."""
        check_tiles(predicted, true, self.config.tile)
        inputs = [predicted, true]
        if self.places is not None:
            inputs.append(self.places.expand(len(true), -1, -1, -1))
        features = self.convolutions(torch.cat(inputs, dim=1))
        vector = features.mean(dim=(2, 3)) if self.pooled else features.flatten(1)
        return self.layers(vector)


class CorrelationInverse(nn.Module):
    """The same convolutions on each tile, then their likeness at displaced places.

    Args:
        config: sizes.
        width: channels of these convolutions; those after the likeness have four and eight times
            as many.
    """

    def __init__(self, config: InverseNetworkConfig, width: int) -> None:
        super().__init__()
        self.config = config
        halvings = 1
        while config.tile % 2 ** (halvings + 1) == 0 and config.tile >> halvings + 1 >= _GRID:
            halvings += 1
        widths = (1, *(width for _ in range(halvings)))
        self.encoder = nn.Sequential(
            *(_strided(widths[k], widths[k + 1]) for k in range(halvings)),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.side = config.tile >> halvings
        index, inside = _displaced(self.side, reach=self.side // 4)
        self.register_buffer('index', index, False)
        self.register_buffer('inside', inside, False)
        self.convolutions = nn.Sequential(
            _strided(len(index), 4 * width), _strided(4 * width, 8 * width)
        )
        places = ((self.side + 3) // 4) ** 2
        self.layers = nn.Sequential(*_last_layers(places * 8 * width, config))

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """As of `DenseInverse`."""
        check_tiles(predicted, true, self.config.tile)
        parameters: Tensor = self.layers(
            self.convolutions(self.volume(predicted, true)).flatten(1)
        )
        return parameters

    def volume(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Likeness, -1 to 1, of each place of the true tile with those around it in the other.

        Returns:
            [tiles, displacements, side, side]; displacements row by row, 0 beyond the tile.
        """
        one, other = (
            functional.normalize(self.encoder(tile).flatten(2), dim=1)
            for tile in (true, predicted)
        )
        pairs = torch.bmm(one.mT, other)
        assert isinstance(self.index, Tensor) and isinstance(self.inside, Tensor)
        found = pairs.gather(2, self.index.T.expand(len(pairs), -1, -1)) * self.inside.T
        return found.mT.unflatten(2, (self.side, self.side))


InverseNetwork = DenseInverse | ConvolutionalInverse | CorrelationInverse


def check_tiles(predicted: Tensor, true: Tensor, tile: int) -> None:
    """Refuse tiles of another shape than [tiles, 1, tile, tile], equal for both."""
    check_shape('true', true, (None, 1, tile, tile))
    check_shape('predicted', predicted, tuple(true.shape))


def _last_layers(channels: int, config: InverseNetworkConfig) -> tuple[nn.Module, ...]:
    return nn.Linear(channels, _LAST), nn.ReLU(), nn.Linear(_LAST, config.parameters)


def _strided(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution that halves the resolution."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def _places(tile: int) -> Tensor:
    """x and y of every pixel, -1 to 1, [1, 2, tile, tile]."""
    along = (torch.arange(tile) + 0.5) * 2.0 / tile - 1.0
    return torch.stack(torch.meshgrid(along, along, indexing='xy'))[None]


def _displaced(side: int, *, reach: int) -> tuple[Tensor, Tensor]:
    """For each displacement and place, the place it leads to and whether that is on the grid.

    Returns:
        int64 and float32, both [(2 reach + 1)², side²].
    """
    steps = torch.arange(-reach, reach + 1)
    down, right = (each.reshape(-1, 1) for each in torch.meshgrid(steps, steps, indexing='ij'))
    places = torch.arange(side * side)
    y, x = places // side + down, places % side + right
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    index = y.clamp(0, side - 1) * side + x.clamp(0, side - 1)
    return index, inside.float()


def new_inverse_network(config: InverseNetworkConfig) -> InverseNetwork:
    """A network with its first weights."""
    if config.architecture == 'dense':
        return DenseInverse(config)
    return _of_width(config, matched_width(config))


def _of_width(config: InverseNetworkConfig, width: int) -> InverseNetwork:
    kind = CorrelationInverse if config.architecture == 'correlation' else ConvolutionalInverse
    return kind(config, width)


def weight_count(network: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(each.numel() for each in network.parameters())


def matched_width(config: InverseNetworkConfig) -> int:
    """The width at which a rival has about as many weights as the dense network."""
    with torch.device('meta'):
        wanted = weight_count(DenseInverse(config))

        def excess(width: int) -> int:
            return weight_count(_of_width(config, width)) - wanted

        high = 1
        while excess(high) < 0:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if excess(middle) < 0 else (low, middle)
        return high if low < 1 or excess(high) < -excess(low) else low
