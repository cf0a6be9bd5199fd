# SPDX-License-Identifier: Apache-2.0
"""Real data sets with labels, by the names that the splits of a run have.

| set | train | validation | test |
|---|---|---|---|
| mfnet | train | val | test |
| pst900 | train | | test |
| cityscapes | train | | val, whose labels are public |

Where a set has no validation split, some of its training frames may be held out as one: whole
cities, or whole recordings, because frames of one drive are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_perception.errors import ConfigError
from training.data.cityscapes import Cityscapes
from training.data.mfnet import MFNet
from training.data.modality import LabeledFrame
from training.data.pst900 import PST900

SPLITS = {
    'mfnet': {'train': 'train', 'validation': 'val', 'test': 'test'},
    'pst900': {'train': 'train', 'test': 'test'},
    'cityscapes': {'train': 'train', 'test': 'val'},
}
"""What a set calls a split, by the set and by what a run calls it."""


class Part(Sequence[LabeledFrame]):
    """Some frames of a set.

    Args:
        frames: of the set.
        indices: of those that are there.
    """

    def __init__(self, frames: Sequence[LabeledFrame], indices: Sequence[int]) -> None:
        self._frames, self._indices = frames, tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> LabeledFrame:  # type: ignore[override]
        return self._frames[self._indices[index]]


def labeled_set(
    kind: str, root: str, split: str, *, held_out_share: float = 0.0
) -> Sequence[LabeledFrame]:
    """The frames of a split.

    Args:
        kind: of `SPLITS`.
        root: folder of the set.
        split: `train`, `validation` or `test`.
        held_out_share: of the training frames that are `validation` and not `train`, 0 to below 1;
            for sets that have no such split.

    Raises:
        ConfigError: the set has no such split, or its training frames cannot be parted.
        DatasetError: the set is not there as it should be.
    """
    if not held_out_share:
        return _whole(kind, root, split)
    if 'validation' in SPLITS[kind]:
        raise ConfigError(f'{kind} has a validation split: held_out_share must be 0')
    if split == 'test':
        return _whole(kind, root, split)
    frames = _whole(kind, root, 'train')
    groups = [_group(kind, name) for name in frames.names]
    out = _held_out_groups(groups, held_out_share)
    if len(out) == len(set(groups)):
        raise ConfigError(
            f'held_out_share must leave cities or recordings to learn from, got {held_out_share} '
            f'of {sorted(out)} in {root}'
        )
    held = split == 'validation'
    return Part(frames, [k for k, group in enumerate(groups) if (group in out) == held])


def _whole(kind: str, root: str, split: str) -> Any:
    if split not in SPLITS[kind]:
        raise ConfigError(f'splits of {kind} are {list(SPLITS[kind])}, got {split!r}')
    name = SPLITS[kind][split]
    if kind == 'cityscapes':
        return Cityscapes(root, name, views=('label',))
    return MFNet(root, name) if kind == 'mfnet' else PST900(root, name)


def _group(kind: str, name: str) -> str:
    """What frames have in common that were taken together."""
    if kind == 'cityscapes':  # <city>_<sequence>_<frame>
        return name.rsplit('_', 2)[0]
    return name.rstrip('0123456789')  # <recording>_rect_rgb_frame<number>


def _held_out_groups(groups: Sequence[str], share: float) -> set[str]:
    """The last groups by name, as few as have at least that share of the frames."""
    out: set[str] = set()
    for group in sorted(set(groups), reverse=True):
        if sum(each in out for each in groups) >= share * len(groups):
            break
        out.add(group)
    return out
