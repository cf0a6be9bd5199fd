# SPDX-License-Identifier: Apache-2.0
"""Which splits of a run are scored and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from training.data.modality import LabeledFrame
from training.data.real_tiles import load_real_tiles

Splits = dict[str, Sequence[LabeledFrame]]


class SplitConfig(Protocol):
    """A configuration whose frames come in splits."""

    @property
    def split_names(self) -> tuple[str, ...]:
        """All splits that the run learns from or is scored on."""

    @property
    def rendered(self) -> bool:
        """Whether frames are those of the world, not of a data set on disk."""


def held_out(
    config: SplitConfig,
    load: Callable[[str], Sequence[LabeledFrame]],
    names: Sequence[str] = (),
) -> Splits:
    """Frames that a network is scored on, by name: all that it does not learn from.

    Args:
        config: of the run.
        load: `load(name)` gives the frames of a split.
        names: of those that are wanted; if empty all, for the world with the real tiles.
    """
    scored = [name for name in config.split_names if name != 'train']
    splits = {name: load(name) for name in scored if not names or name in names}
    if names or not config.rendered:
        return splits
    return splits | {'real_tiles': load_real_tiles()}


def shown_split(config: SplitConfig) -> str:
    """The split for pictures while a network learns; `train` where none is for validation."""
    return 'validation' if 'validation' in config.split_names else 'train'
