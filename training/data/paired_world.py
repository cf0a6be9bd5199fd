# SPDX-License-Identifier: Apache-2.0
"""A split of the world in which things always come together, cached as the plain one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from kd_perception.world.frame import WorldFrame
from kd_perception.world.pairs import render_paired_frame
from training.data.source_digest import source_digest
from training.data.world import WorldSplit

_SOURCE = source_digest('kd_perception.world.pairs')


@dataclass(frozen=True)
class PairedSplit(WorldSplit):
    """Frames of `kd_perception.world.pairs`; arguments as of `WorldSplit`.

    It is a type of its own, and no setting of `WorldSplit`, so that runs which know no pairs keep
    the names of their frames and of their settings.
    """

    def frame(self, index: int, views: Sequence[str]) -> WorldFrame:
        """Render a frame, with the views that are asked for."""
        return render_paired_frame(self.config(), self.world_seed(), index, views)

    def description(self) -> dict[str, Any]:
        """What the pixels depend on."""
        return {**super().description(), 'pairs': _SOURCE}


def with_pairs(split: WorldSplit) -> PairedSplit:
    """The same frames with company."""
    return PairedSplit(**{f.name: getattr(split, f.name) for f in fields(split)})
