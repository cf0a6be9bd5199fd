# SPDX-License-Identifier: Apache-2.0
"""Where the images and the saliency of an EPS run come from, and whether tiles fit the student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kd_perception.errors import ConfigError
from training.data.folder_saliency import FolderSaliency, described

MAX_STRETCH = 1.1
"""How much narrower or wider than its image a tile may be seen in training."""

_SIDES = (64, 96, 128, 160)


@dataclass(frozen=True)
class VocConfig:
    """PASCAL VOC in place of the world.

    Args:
        root: folder VOC2012; the world is taken if empty.
        split: of training images.
        tags_file: of image tags; those of the masks if empty. With it, training images need no
            masks, and where one is missing the pseudo-masks are not scored.
        saliency: folder of saliency maps; needed for EPS.
        test_split: that the segmentation network is scored on.
    """

    root: str = ''
    split: str = 'train_aug'
    tags_file: str = ''
    saliency: str = ''
    test_split: str = 'val'


def check_tiling(
    frame_size: tuple[int, int],
    grid: tuple[int, int],
    tagged_size: tuple[int, ...],
    image_size: tuple[int, int],
) -> None:
    """Check that things are as large to the student as they were in the tiles that it learnt from.

    Args:
        frame_size: height and width of a tile, or of an image that was not cut, as stored.
        grid: rows and columns of tiles.
        tagged_size: that tiles are brought to; empty for as they are.
        image_size: of the student's input, which a whole image is fitted into.

    Raises:
        ConfigError: the input is not as large as all tiles together, or tiles are stretched by
            more than `MAX_STRETCH`. Says which sizes would fit.
    """
    own = (tagged_size[0], tagged_size[1]) if tagged_size else frame_size
    whole = (grid[0] * own[0], grid[1] * own[1])
    stretch = _stretch(frame_size, own)
    if whole == tuple(image_size) and stretch <= MAX_STRETCH:
        return
    better = fitting_size(frame_size)
    cut = f'{grid[0]}x{grid[1]} tiles of {frame_size[0]}x{frame_size[1]}'
    if grid == (1, 1):
        cut = f'whole, {frame_size[0]}x{frame_size[1]}'
    raise ConfigError(
        f'segmentation.image_size must be tagged_size times rows and columns, {list(whole)}, and '
        f'tiles may be stretched by {MAX_STRETCH} at most; frames are {cut}, tagged_size is '
        f'{list(tagged_size) or "empty"}, image_size {list(image_size)}, tiles are stretched by '
        f'{stretch:.2f}. What fits: tagged_size {list(better)}, image_size '
        f'{[grid[0] * better[0], grid[1] * better[1]]}'
    )


def _stretch(frame_size: tuple[int, int], size: tuple[int, int]) -> float:
    ratio = (size[0] * frame_size[1]) / (size[1] * frame_size[0])
    return max(ratio, 1.0 / ratio)


def fitting_size(frame_size: tuple[int, int]) -> tuple[int, int]:
    """Small multiples of 32 with about the shape of a frame, at most 1.2 times its size."""
    height, width = frame_size
    sizes = [(high, max(32, 32 * round(high * width / height / 32))) for high in _SIDES]
    small = [size for size in sizes if size[0] <= 1.2 * height] or sizes[:1]
    return min(small, key=lambda size: (_stretch(frame_size, size) > MAX_STRETCH, size))


def folder_source(saliency: FolderSaliency) -> dict[str, Any]:
    """Where the saliency of a folder of tags comes from, as a record has it."""
    if saliency.detected:
        return {'source': 'detector', 'name': saliency.source}
    return described(saliency.map_path('').parent) or {'source': 'folder of maps'}


def in_words(source: Mapping[str, Any]) -> str:
    """Where saliency comes from, for a card."""
    kind = source['source']
    if kind == 'student':
        return (
            f'of the student {source["student"]} (SHA-256 {source["sha256"][:12]}), which was '
            f'trained before: {source["trained_on"]}; it has seen labels of pixels unless its own '
            'card says otherwise'
        )
    if kind == 'detector':
        return f'of the built-in detector {source["name"]}, which learns nothing'
    return {'world': 'of the renderer', 'truth': 'the labels themselves'}.get(kind, kind)
