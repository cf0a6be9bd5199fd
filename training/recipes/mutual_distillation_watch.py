# SPDX-License-Identifier: Apache-2.0
"""Numbers that are watched while branches learn, but not minimized."""

from __future__ import annotations

from torch import Tensor


class Watched:
    """Means since the last look, by name; those of a branch are named `<branch>_<name>`."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._prefix = 'watched/'

    def of(self, branch: str) -> Watched:
        """The same numbers, those that are added here named after a branch."""
        other = Watched()
        other._sums, other._prefix = self._sums, f'watched/{branch}_'
        return other

    def add(self, **values: Tensor) -> None:
        """Numbers of a step, scalars."""
        for name, value in values.items():
            total, count = self._sums.get(self._prefix + name, (value.new_zeros(()), 0))
            self._sums[self._prefix + name] = (total + value.detach(), count + 1)

    def means(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: float(total) / count for name, (total, count) in self._sums.items()}
        self._sums.clear()
        return means
