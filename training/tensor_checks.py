# SPDX-License-Identifier: Apache-2.0
"""What tensor functions demand of their arguments."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kd_perception.errors import ConfigError, ShapeError


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor itself, or in float32 where it is coarser (what autocast hands out)."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def check_shape(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raise unless a tensor has a shape; None stands for any size.

    Raises:
        ShapeError: it has not.
    """
    fits = len(shape) == tensor.dim() and all(
        want in (None, size) for want, size in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        text = ', '.join('any' if want is None else str(want) for want in shape)
        raise ShapeError(f'{name} must be of shape [{text}], received {list(tensor.shape)}')


def check_positive(name: str, value: float) -> None:
    """Raise unless a number is above 0 and finite.

    Raises:
        ConfigError: it is not.
    """
    if not 0.0 < value < math.inf:
        raise ConfigError(f'{name} must be above 0 and finite, received {value}')


def check_mask(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raise unless a tensor is bool and has a shape; None stands for any size.

    Raises:
        ShapeError: it is not.
    """
    check_shape(name, tensor, shape)
    if tensor.dtype != torch.bool:
        raise ShapeError(f'{name} must be bool, received {tensor.dtype}: compare, as in depth > 0')


def check_option(name: str, value: str, options: tuple[str, ...]) -> None:
    """Raise unless a setting is one of those that exist.

    Raises:
        ConfigError: it is not.
    """
    if value not in options:
        text = ', '.join(repr(option) for option in options)
        raise ConfigError(f'{name} must be one of {text}, received {value!r}')
