# SPDX-License-Identifier: Apache-2.0
"""A few frames of a drive as small pictures, chosen while they go by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import numpy as np

from kd_perception.evaluation.gathering import Evaluated, SomePrediction, SomeRecord
from kd_perception.evaluation.report_images import data_url
from kd_perception.frames import ByteImage

_THUMBNAIL_PX = 300
_STRIP_FRAMES = 6


class StripPainter(Protocol[SomeRecord, SomePrediction]):
    """Draws frames, and says which is worse."""

    largest_is_worst: bool

    def pictures(
        self, evaluated: Evaluated[SomeRecord, SomePrediction], width: int
    ) -> Sequence[ByteImage | None]:
        """Draw a frame, each picture of that width [px]; None where there is nothing to show."""

    def figure(self, record: SomeRecord) -> float:
        """Return how good the prediction is; NaN without ground truth."""


@dataclass(frozen=True)
class StripRow:
    """A frame of the strip, with pictures as data URLs; empty where there is nothing to show."""

    index: int
    stamp_ns: int
    figure: float
    pictures: tuple[str, ...]


class FrameStrip(Generic[SomeRecord, SomePrediction]):
    """Keeps a few frames spread over the drive, and the worst one, as small pictures.

    Args:
        painter: Draws them.
        frame_count: Frames of the source, as far as known; at least 1.
    """

    def __init__(
        self, painter: StripPainter[SomeRecord, SomePrediction], frame_count: int
    ) -> None:
        self._painter = painter
        self._near = frame_count // 20
        spread = np.linspace(0, max(frame_count - 1, 0), _STRIP_FRAMES)
        self._wanted = [int(index) for index in np.unique(spread.round())]
        self._rows: list[StripRow] = []
        self._worst: StripRow | None = None

    def __call__(self, evaluated: Evaluated[SomeRecord, SomePrediction]) -> None:
        """Look at the next frame."""
        record = evaluated.record
        row = None
        if self._wanted and record.index >= self._wanted[0]:
            self._wanted = [index for index in self._wanted if index > record.index]
            row = self._row(evaluated)
            self._rows.append(row)
        if self._is_worst(self._painter.figure(record)):
            self._worst = row or self._row(evaluated)

    def _is_worst(self, figure: float) -> bool:
        if math.isnan(figure):
            return False
        if self._worst is None:
            return True
        worst = self._worst.figure
        return figure > worst if self._painter.largest_is_worst else figure < worst

    def _row(self, evaluated: Evaluated[Any, Any]) -> StripRow:
        record = evaluated.record
        return StripRow(
            record.index,
            record.stamp_ns,
            self._painter.figure(record),
            tuple(
                '' if picture is None else data_url(picture)
                for picture in self._painter.pictures(evaluated, _THUMBNAIL_PX)
            ),
        )

    @property
    def worst_index(self) -> int | None:
        """Index of the worst frame; None without ground truth."""
        return None if self._worst is None else self._worst.index

    def rows(self) -> list[StripRow]:
        """Return the frames in order; the worst one is among them and replaces its neighbors."""
        worst = self._worst
        if worst is None:
            return self._rows
        others = [row for row in self._rows if abs(row.index - worst.index) > self._near]
        return sorted([*others, worst], key=lambda row: row.index)
