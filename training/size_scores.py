# SPDX-License-Identifier: Apache-2.0
"""How much of small and of large things a network finds, and how much of that is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.label_sets import LabelSet
from kd_perception.uncertainty import IGNORE_INDEX

Array = npt.NDArray[Any]

BOUNDS_PX = (8, 32, 128, 512)
"""Areas of things: up to 8 pixels, up to 32, and so on; the last group has no upper bound."""


class _Shares:
    """Sums and counts of shares of parts, by class and group of areas."""

    def __init__(self, num_classes: int, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        shape = (num_classes, len(bounds) + 1)
        self.sums, self.counts = np.zeros(shape), np.zeros(shape, np.int64)

    def add(self, parts_of: Array, other: Array, own: int) -> None:
        """Add the share of each connected part of a class in one map that has it in the other."""
        here = parts_of == own
        _, parts, stats, _ = cv2.connectedComponentsWithStats(here.astype(np.uint8))
        area = stats[1:, cv2.CC_STAT_AREA]
        hits = np.bincount(parts[here & (other == own)], minlength=len(stats))[1:]
        group = np.searchsorted(self._bounds, area)
        np.add.at(self.sums[own], group, hits / area)
        np.add.at(self.counts[own], group, 1)


class SizeScores:
    """Gathers, over a split, recall and precision of things by their area.

    A thing is a connected part of one class in a label, diagonals included; things of one class
    that touch count as one. Its recall is the share of its pixels that get its class. What a
    network says is parted in the same way, and the precision of a part is the share of its pixels
    that are of its class; where the label is not known, nothing counts. Each counts as much as any
    other of its group.

    Args:
        label_set: of labels and masks; its background is no thing, where it has one.
        bounds_px: areas that part the groups, rising.
    """

    def __init__(self, label_set: LabelSet, bounds_px: tuple[int, ...] = BOUNDS_PX) -> None:
        self._label_set, self._bounds = label_set, bounds_px
        self._found = _Shares(label_set.num_classes, bounds_px)
        self._right = _Shares(label_set.num_classes, bounds_px)

    def update(self, mask: Array, label: Array) -> None:
        """Add a frame.

        Args:
            mask: class ids of the network, uint8 [height, width].
            label: class ids, of the same shape; 255 is ignored.
        """
        seen = np.where(label == IGNORE_INDEX, IGNORE_INDEX, mask)
        for own in range(self._label_set.num_classes):
            if own != self._label_set.background:
                self._found.add(label, seen, own)
                self._right.add(seen, label, own)

    def report(self) -> dict[str, dict[str, Any]]:
        """By group, as `33-128`; means are None where there is nothing to take them of.

        Returns:
            `recall` and `things`, the mean over the things of labels and their number, `precision`
            and `parts`, that over the parts of masks, and `by_class`: the same four by the name of
            the class.
        """
        lows = (1, *(bound + 1 for bound in self._bounds))
        highs = (*(str(bound) for bound in self._bounds), '')
        return {
            f'{low}-{high}': {**self._means(slice(None), k), 'by_class': self._by_class(k)}
            for k, (low, high) in enumerate(zip(lows, highs, strict=True))
        }

    def _by_class(self, group: int) -> dict[str, dict[str, Any]]:
        return {
            name: self._means(slice(own, own + 1), group)
            for own, name in enumerate(self._label_set.names)
            if own != self._label_set.background
        }

    def _means(self, classes: slice, group: int) -> dict[str, Any]:
        report: dict[str, Any] = {}
        for mean, count, shares in (
            ('recall', 'things', self._found),
            ('precision', 'parts', self._right),
        ):
            number = int(shares.counts[classes, group].sum())
            total = float(shares.sums[classes, group].sum())
            report |= {mean: round(total / number, 4) if number else None, count: number}
        return report
