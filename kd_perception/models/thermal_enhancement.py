# SPDX-License-Identifier: Apache-2.0
"""The thermal enhancement of CEKD: a power of the image with an exponent learned per image.

An exponent above 1 darkens the cool background and keeps the hot foreground.

Reference:
    Z. Feng, Y. Guo, Y. Sun, "CEKD: Cross-Modal Edge-Privileged Knowledge Distillation for Semantic
    Scene Understanding Using Only Thermal Images", RA-L 2023.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError

EXPONENTS = ('raw', 'softplus', 'two_sided')
"""How the exponent follows from what the regressor gives; see `exponent_from_delta`."""

MIN_SIDE = 64
_HIDDEN = 20


class EnhancedImage(NamedTuple):
    """What `ThermalEnhancement` gives.

    Attributes:
        image: [batch, 1, height, width].
        exponent: one per image, [batch].
    """

    image: Tensor
    exponent: Tensor


def check_exponent(exponent: str, offset: float) -> None:
    """Refuse an unknown kind of exponent and an offset that it cannot start from.

    Raises:
        ConfigError: one of them does not fit.
    """
    if exponent not in EXPONENTS:
        raise ConfigError(f'exponent must be one of {list(EXPONENTS)}, got {exponent!r}')
    limit = 1.0 if exponent == 'softplus' else 0.0
    if not limit < offset < math.inf:
        raise ConfigError(
            f'enhancement_offset must be finite and > {limit} with the exponent {exponent!r}, '
            f'got {offset!r}'
        )


def exponent_from_delta(delta: Tensor, *, exponent: str, offset: float) -> Tensor:
    """The exponent; it is `offset` where delta is zero, and rises with delta.

    | kind | exponent | range |
    |---|---|---|
    | `raw` | max(delta + offset, 0): the paper's | >= 0 |
    | `softplus` | 1 + softplus(delta + a): never brightens | > 1 |
    | `two_sided` | softplus(delta + b): may brighten as well | > 0 |

    The authors' code lets the raw exponent become negative, which makes black pixels infinite;
    here it ends at 0.

    Args:
        delta: any shape.
        exponent: one of `EXPONENTS`.
        offset: lambda of the paper; > 0, and > 1 with `softplus`.

    Raises:
        ConfigError: unknown kind, or an offset out of its range.
    """
    check_exponent(exponent, offset)
    if exponent == 'raw':
        return (delta + offset).clamp(min=0.0)
    if exponent == 'softplus':
        return 1.0 + functional.softplus(delta + _inverse_softplus(offset - 1.0))
    return functional.softplus(delta + _inverse_softplus(offset))


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))


def enhance(image: Tensor, exponent: Tensor) -> Tensor:
    """Image to the power of one exponent per image.

    Args:
        image: [batch, 1, height, width], 0 to 1; below 0 counts as 0.
        exponent: [batch], >= 0.
    """
    return image.clamp(min=0.0) ** exponent[:, None, None, None]


def regressor_features(image_size: tuple[int, int]) -> int:
    """Inputs of the first full layer for a (height, width) of multiples of 32.

    The convolutions and the first two poolings leave 1/32; the last pooling pads the rows.
    """
    height, width = (side // 32 for side in image_size)
    return (height // 2 + 1) * (width // 2)


class ExponentRegressor(nn.Module):
    """One number per image: two small convolutions, three poolings, two full layers.

    Args:
        image_size: (height, width), multiples of 32 and >= 64.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        """Create the layers: 1705 weights at 480x640."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 1, 3, 2, 1)
        self.bn1 = nn.BatchNorm2d(1)
        self.conv2 = nn.Conv2d(1, 1, 3, 2, 1)
        self.bn2 = nn.BatchNorm2d(1)
        self.fc1 = nn.Linear(regressor_features(image_size), _HIDDEN)
        self.bn3 = nn.BatchNorm1d(_HIDDEN)
        self.fc2 = nn.Linear(_HIDDEN, 1)

    @property
    def is_alone(self) -> bool:
        """Whether it normalizes over its own batch; layers that share statistics are others."""
        return type(self.bn3) is nn.BatchNorm1d

    def forward(self, image: Tensor) -> Tensor:
        """Map [batch, 1, height, width] to [batch]."""
        y = functional.max_pool2d(image, 4)
        y = functional.relu(self.bn1(self.conv1(y)))
        y = functional.max_pool2d(y, 2)
        y = functional.relu(self.bn2(self.conv2(y)))
        y = functional.max_pool2d(y, 2, padding=(1, 0))
        y = functional.relu(self.bn3(self.fc1(y.flatten(1))))
        delta: Tensor = self.fc2(y)
        return delta.squeeze(1)


class ThermalEnhancement(nn.Module):
    """TE: the image to the power of an exponent that a small network reads off the image.

    Args:
        image_size: (height, width), multiples of 32 and >= 64.
        exponent: one of `EXPONENTS`.
        offset: lambda of the paper, the exponent where the regressor gives 0.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self, image_size: tuple[int, int], *, exponent: str = 'raw', offset: float = 2.0
    ) -> None:
        """Create the regressor."""
        super().__init__()
        check_exponent(exponent, offset)
        if min(image_size) < MIN_SIDE or image_size[0] % 32 or image_size[1] % 32:
            raise ConfigError(
                f'image_size must be multiples of 32 and >= {MIN_SIDE} for the thermal '
                f'enhancement, got {image_size}'
            )
        self.image_size, self.kind, self.offset = tuple(image_size), exponent, offset
        self.regressor = ExponentRegressor(image_size)

    def forward(self, image: Tensor) -> EnhancedImage:
        """Enhance [batch, 1, *image_size], 0 to 1; at least two images in training.

        Where processes share a batch, and its statistics, one of each is enough.

        Raises:
            ShapeError: another shape, or one image in training.
        """
        if image.dim() != 4 or tuple(image.shape[1:]) != (1, *self.image_size):
            raise ShapeError(
                f'the thermal image must be [batch, 1, {self.image_size[0]}, '
                f'{self.image_size[1]}], got {list(image.shape)}'
            )
        if self.training and len(image) < 2 and self.regressor.is_alone:
            raise ShapeError(
                'the thermal enhancement must get at least two images in training, because it '
                f'normalizes over the batch; got {len(image)}: use a larger batch or eval mode'
            )
        delta = self.regressor(image)
        exponent = exponent_from_delta(delta, exponent=self.kind, offset=self.offset)
        return EnhancedImage(enhance(image, exponent), exponent)
