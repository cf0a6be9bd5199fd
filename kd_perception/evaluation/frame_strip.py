# SPDX-License-Identifier: Apache-2.0
"""A few frames of a drive as small pictures, chosen while they go by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_perception.evaluation.evaluator import EvaluatedFrame
from kd_perception.evaluation.report_images import Painter, data_url

_THUMBNAIL_PX = 300
_STRIP_FRAMES = 6


@dataclass(frozen=True)
class StripRow:
    """A frame of the strip, with pictures as data URLs; ``label`` may be empty."""

    index: int
    stamp_ns: int
    miou: float
    gray: str
    label: str
    mask: str
    uncertainty: str


class FrameStrip:
    """Keeps a few frames spread over the drive, and the worst one, as small pictures.

    Args:
        painter: Draws them.
        frame_count: Frames of the source, as far as known; at least 1.
    """

    def __init__(self, painter: Painter, frame_count: int) -> None:
        self._painter = painter
        self._near = frame_count // 20
        spread = np.linspace(0, max(frame_count - 1, 0), _STRIP_FRAMES)
        self._wanted = [int(index) for index in np.unique(spread.round())]
        self._rows: list[StripRow] = []
        self._worst: StripRow | None = None

    def __call__(self, evaluated: EvaluatedFrame) -> None:
        """Look at the next frame."""
        record = evaluated.record
        row = None
        if self._wanted and record.index >= self._wanted[0]:
            self._wanted = [index for index in self._wanted if index > record.index]
            row = self._row(evaluated)
            self._rows.append(row)
        # NaN, for frames without ground truth, is below nothing.
        if record.miou < (math.inf if self._worst is None else self._worst.miou):
            self._worst = row or self._row(evaluated)

    def _row(self, evaluated: EvaluatedFrame) -> StripRow:
        panels = self._painter.paint(evaluated, _THUMBNAIL_PX)
        record = evaluated.record
        label = '' if panels.label is None else data_url(panels.label)
        pictures = (data_url(panels.gray), label, data_url(panels.mask))
        uncertainty = data_url(panels.uncertainty)
        return StripRow(record.index, record.stamp_ns, record.miou, *pictures, uncertainty)

    @property
    def worst_index(self) -> int | None:
        """Index of the frame with the lowest IoU; None without ground truth."""
        return None if self._worst is None else self._worst.index

    def rows(self) -> list[StripRow]:
        """Return the frames in order; the worst one is among them and replaces its neighbors."""
        worst = self._worst
        if worst is None:
            return self._rows
        others = [row for row in self._rows if abs(row.index - worst.index) > self._near]
        return sorted([*others, worst], key=lambda row: row.index)
