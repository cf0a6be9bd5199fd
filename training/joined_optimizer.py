# SPDX-License-Identifier: Apache-2.0
"""Optimizers of different kinds that step together, where a loop knows one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


class JoinedOptimizer(torch.optim.Optimizer):
    """Steps its parts in order; its parameter groups are theirs, not copies.

    Args:
        parts: of disjoint parameters.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        """Take over the groups of all parts."""
        self.parts = tuple(parts)
        super().__init__(self._groups(), {})

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of every part; there is no closure that would fit several of them."""
        assert closure is None
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all parts."""
        return {'parts': [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the states of as many parts."""
        for part, state in zip(self.parts, state_dict['parts'], strict=True):
            part.load_state_dict(state)
        self.param_groups = self._groups()  # loading has replaced those of the parts
