# SPDX-License-Identifier: Apache-2.0
"""A folder of one's own tagged images, as `kd-perception tag` makes it of a recording."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import DatasetError
from kd_perception.label_sets import MFNET
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.command import TAGS_FILE
from kd_perception.tagging.extraction import least_pixels
from kd_perception.tagging.frame_names import Grid, grid_size, grids_of, image_of, in_time
from kd_perception.tagging.origin import origin_of
from kd_perception.tagging.tag_files import FRAMES, LABELS
from kd_perception.uncertainty import IGNORE_INDEX
from training.data.folder_saliency import FolderSaliency
from training.data.folders import Frames
from training.data.images import check_sizes, read_label, read_pixels
from training.data.tagged_frames import TaggedFrame

Array = npt.NDArray[Any]

CACHE_BYTES = 2**28
"""Decoded frames that a folder keeps in memory, per process; what is beyond is read each time."""

_MODES = ('L', 'RGB', 'I;16', 'I;16B', 'I;16L', 'I')


class Parts(NamedTuple):
    """What belongs to an image, or to a tile of it; see `TaggedFrame`."""

    shown: Array
    saliency: Array
    label: Array | None
    things: Array | None


class TaggedFolder(Frames[TaggedFrame]):
    """The frames of a folder that somebody has looked at, in the order of their stamps.

    Heat is gray levels, as the robot's gain control shows them within the whole image. Labels are
    there where the recording had them and `tag` was told so: they are for scoring alone. What is
    too small for a tag is neither right nor wrong in them.

    Args:
        folder: of `kd-perception tag`.
        saliency: see `FolderSaliency`.
        image_size: (height, width) that frames are brought to; empty for as they are.

    Attributes:
        classes: Names in the order of the tags.
        tags: Of each frame that somebody has looked at, by its name.
        names: Of these frames.
        grid: Rows and columns that images are cut into.
        frame_size: Height and width of the first frame as it is stored.
        modality: `rgb` or `thermal`, as the first frame is.
        saliency: Where it comes from.
        origin: Of the images, see `kd_perception.tagging.origin`.

    Raises:
        DatasetError: no frame is tagged, or a file is missing, damaged or of another kind.
        ConfigError: as `FolderSaliency`.
    """

    def __init__(
        self, folder: Path | str, saliency: str = '', image_size: Sequence[int] = ()
    ) -> None:
        self.folder, self._size = Path(folder), tuple(image_size)
        table = read_tag_table(self.folder / TAGS_FILE)
        self.classes, self.tags = table.classes, table.tagged()
        self.names = sorted(self.tags, key=in_time)
        known = sorted(table.rows, key=in_time)
        self._check_files(known)
        self.grid = grid_size(known)
        self._grids = {name: grid for grid in grids_of(known) for row in grid for name in row}
        first = _read_frame(self._path(self.names[0]))
        self.frame_size = (first.shape[0], first.shape[1])
        self.modality = 'rgb' if first.ndim == 3 else 'thermal'
        self.saliency = FolderSaliency(self.folder, saliency, self.modality, _read_frame)
        self.origin = origin_of(self.folder)
        self._kept: dict[str, TaggedFrame] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """SHA-256 of names, tags and pixels, and of the maps where they come from a folder."""
        tags = [(name, self.tags[name]) for name in self.names]
        found = hashlib.sha256(repr((self.classes, tags)).encode())
        paths = [self._path(name) for name in self.names]
        if not self.saliency.detected:
            paths += [self.saliency.map_path(name) for name in self.names]
        for path in paths:
            found.update(path.read_bytes() if path.is_file() else b'')
        return found.hexdigest()

    def whole(self, name: str) -> TaggedFrame:
        """The whole image that a frame is a tile of, in its own size.

        Args:
            name: of a frame of the table.

        Returns:
            The frame; its tags are those of its tiles together, as far as these are known.
        """
        grid = self._grids[name]
        parts = self._parts(grid)
        tags = [self.tags[tile] for row in grid for tile in row if tile in self.tags]
        together = np.any(tags, axis=0) if tags else np.zeros(len(self.classes), bool)
        return self._frame(image_of(name), together, parts)

    def is_labeled(self, name: str) -> bool:
        """Whether there is a label of the whole image that a frame is a tile of."""
        names = (tile for row in self._grids[name] for tile in row)
        known = set(self.classes) <= set(MFNET.names)
        return known and all(self._label_path(tile).is_file() for tile in names)

    def _check_files(self, known: Sequence[str]) -> None:
        if not self.names:
            raise DatasetError(
                f'{self.folder / TAGS_FILE} must have tagged frames: open index.html beside it, '
                'tag, and save the table there'
            )
        missing = [name for name in known if not self._path(name).is_file()]
        if missing:
            raise DatasetError(
                f'{self.folder / FRAMES} must hold all frames of the table; {len(missing)} are '
                f'missing, as {missing[0]}.png: run `kd-perception tag` again'
            )

    def _path(self, name: str) -> Path:
        return self.folder / FRAMES / f'{name}.png'

    def _read(self, index: int) -> TaggedFrame:
        name = self.names[index]
        if name in self._kept:
            return self._kept[name]
        frames = self._tiles(self._grids[name])
        for tile, frame in frames.items():
            self._keep(tile, frame)
        return frames[name]

    def _keep(self, name: str, frame: TaggedFrame) -> None:
        arrays = [part for part in frame if isinstance(part, np.ndarray)]
        size = sum(array.nbytes for array in arrays)
        if name not in self._kept and self._kept_bytes + size <= CACHE_BYTES:
            self._kept[name] = frame
            self._kept_bytes += size

    def _tiles(self, grid: Grid) -> dict[str, TaggedFrame]:
        """The tagged frames of an image, brought to their size."""
        parts = self._parts(grid)
        high, wide = parts.shown.shape[0] // len(grid), parts.shown.shape[1] // len(grid[0])
        frames = {}
        for y, row in enumerate(grid):
            for x, name in enumerate(row):
                if name in self.tags:
                    own = np.s_[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
                    cut = Parts(*(self._sized(part, own, k < 2) for k, part in enumerate(parts)))
                    frames[name] = self._frame(name, np.array(self.tags[name], bool), cut)
        return frames

    def _frame(self, name: str, tags: Array, parts: Parts) -> TaggedFrame:
        shown, saliency, label, things = parts
        rgb, thermal = (shown, None) if self.modality == 'rgb' else (None, shown)
        return TaggedFrame(name, tags, rgb, thermal, saliency, label, things)

    def _parts(self, grid: Grid) -> Parts:
        """A whole image."""
        pixels = joined([[self._pixels(name) for name in row] for row in grid])
        if self.saliency.detected:
            saliency = self.saliency.detect(grid[0][0], pixels)
        else:
            saliency = joined([[self._map(name) for name in row] for row in grid])
        shown = pixels
        if self.modality == 'thermal':
            gray = normalize(pixels, *agc_limits(pixels, AgcConfig()))
            shown = np.asarray(np.rint(gray * 255.0), np.uint8)
        if not self.is_labeled(grid[0][0]):
            return Parts(shown, saliency, None, None)
        things = [[read_label(self._label_path(name), MFNET) for name in row] for row in grid]
        label = joined([[label_from_things(tile, self.classes) for tile in row] for row in things])
        return Parts(shown, saliency, label, joined(things))

    def _label_path(self, name: str) -> Path:
        return self.folder / LABELS / f'{name}.png'

    def _pixels(self, name: str) -> Array:
        image = _read_frame(self._path(name))
        if (image.ndim == 3) != (self.modality == 'rgb'):
            raise DatasetError(f'all frames must be of one kind, {self.modality}; {name} is not')
        return image

    def _map(self, name: str) -> Array:
        found = self.saliency.read(name)
        frame = _read_frame(self._path(name))
        check_sizes(self._path(name), {'frame': frame, 'saliency': found})
        return found

    def _sized(self, whole: Array | None, part: Any, smooth: bool) -> Any:
        """A part of an array at the size of frames."""
        if whole is None:
            return None
        own = whole[part]
        if not self._size or own.shape[:2] == self._size:
            return own.copy()
        method = cv2.INTER_NEAREST_EXACT
        if smooth:
            method = cv2.INTER_AREA if self._size[0] < own.shape[0] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(own, self._size[::-1], interpolation=method))


def label_from_things(things: Array, classes: Sequence[str]) -> Array:
    """The label of tagged classes.

    Args:
        things: ids of MFNet, uint8 [height, width].
        classes: names of MFNet, in the order of the tags.

    Returns:
        uint8 of the same shape: 0 is background, k + 1 stands for tag k, 255 for what is not
        known, or too small to be tagged.
    """
    label = np.where(things == IGNORE_INDEX, IGNORE_INDEX, 0).astype(np.uint8)
    for k, name in enumerate(classes):
        there = things == MFNET.names.index(name)
        label[there] = k + 1 if there.sum() >= least_pixels(things.size) else IGNORE_INDEX
    return label


def joined(tiles: Sequence[Sequence[Array]]) -> Array:
    """One array of its tiles, row by row.

    Raises:
        DatasetError: they differ in size or type.
    """
    kinds = {(tile.shape, tile.dtype.name) for row in tiles for tile in row}
    if len(kinds) > 1:
        raise DatasetError(f'tiles of an image must be of one size and type, found {kinds}')
    return np.concatenate([np.concatenate(row, axis=1) for row in tiles])


def _read_frame(path: Path) -> Array:
    image = read_pixels(path, _MODES, 'a frame of one channel of 8 or 16 bits, or of color')
    return image if image.dtype == np.uint8 else image.astype(np.uint16)
