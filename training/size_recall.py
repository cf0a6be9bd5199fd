# SPDX-License-Identifier: Apache-2.0
"""How much of small and of large things a network finds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.uncertainty import IGNORE_INDEX

Array = npt.NDArray[Any]

BOUNDS_PX = (8, 32, 128, 512)
"""Areas of things: up to 8 pixels, up to 32, and so on; the last group has no upper bound."""

_BACKGROUND = 0


class SizeRecall:
    """Gathers, over a split, the share of each thing's pixels that get its class, by its area.

    A thing is a connected part of one class in a label, diagonals included; things of one class
    that touch count as one. Each thing counts as much as any other of its group.

    Args:
        num_classes: of the labels; class 0 is no thing.
        bounds_px: areas that part the groups, rising.
    """

    def __init__(self, num_classes: int, bounds_px: tuple[int, ...] = BOUNDS_PX) -> None:
        self._num_classes, self._bounds = num_classes, bounds_px
        shape = (num_classes, len(bounds_px) + 1)
        self._found, self._things = np.zeros(shape), np.zeros(shape, np.int64)

    def update(self, mask: Array, label: Array) -> None:
        """Add a frame.

        Args:
            mask: class ids of the network, uint8 [height, width].
            label: class ids, of the same shape; 255 is ignored.
        """
        for own in np.unique(label):
            if own in (_BACKGROUND, IGNORE_INDEX):
                continue
            here = label == own
            _, parts, stats, _ = cv2.connectedComponentsWithStats(here.astype(np.uint8))
            area = stats[1:, cv2.CC_STAT_AREA]
            hits = np.bincount(parts[here & (mask == own)], minlength=len(stats))[1:]
            group = np.searchsorted(self._bounds, area)
            np.add.at(self._found[own], group, hits / area)
            np.add.at(self._things[own], group, 1)

    def report(self) -> dict[str, dict[str, Any]]:
        """By group, as `33-128`: mean share that was found (None where there are none), things.

        `recall` is the mean over all things of the group, `recall_by_class` that of each class.
        """
        lows = (1, *(bound + 1 for bound in self._bounds))
        highs = (*(str(bound) for bound in self._bounds), '')
        return {
            f'{low}-{high}': {
                'recall': _mean(self._found[:, k].sum(), int(self._things[:, k].sum())),
                'things': int(self._things[:, k].sum()),
                'recall_by_class': [
                    _mean(found, int(count))
                    for found, count in zip(self._found[:, k], self._things[:, k], strict=True)
                ],
            }
            for k, (low, high) in enumerate(zip(lows, highs, strict=True))
        }


def _mean(total: float, count: int) -> float | None:
    return round(float(total) / count, 4) if count else None
