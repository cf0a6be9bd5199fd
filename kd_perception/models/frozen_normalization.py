# SPDX-License-Identifier: Apache-2.0
"""Batch normalization that keeps what it has while the rest of a network learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from torch import nn

_Network = TypeVar('_Network', bound='FreezableNormalization')


class FreezableNormalization(nn.Module):
    """A network whose batch normalization can be frozen; until then it learns like the rest."""

    _is_frozen = False

    def freeze_normalization(self) -> None:
        """Let normalization keep its statistics, scales and offsets from now on."""
        self._is_frozen = True
        for layer in self._normalization():
            layer.requires_grad_(False)
        self.train(self.training)

    def train(self: _Network, mode: bool = True) -> _Network:
        """Set the mode; frozen normalization stays in that of evaluation."""
        super().train(mode)
        if self._is_frozen:
            for layer in self._normalization():
                layer.eval()
        return self

    def _normalization(self) -> Iterator[nn.BatchNorm2d]:
        return (module for module in self.modules() if isinstance(module, nn.BatchNorm2d))
