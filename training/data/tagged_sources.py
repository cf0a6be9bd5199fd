# SPDX-License-Identifier: Apache-2.0
"""Where tagged images come from beside the world: PASCAL VOC, and a folder of one's own.

A folder is what `kd-perception tag` makes of a recording: `frames/<name>.png` and `tags.csv`.
Its saliency is read from a folder of `<name>.png` (8-bit gray or RGB, of the size of the frame),
or found by a detector: `spectral_residual` or `barrier_distance` of color, `heat_contrast`,
`heat_barrier`, `motion` or `heat_and_motion` of heat. These detectors are guesses, not networks;
records name the one that was taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.command import TAGS_FILE
from kd_perception.tagging.tag_files import FRAMES
from training.data.folders import Frames
from training.data.images import check_sizes, read_pixels
from training.data.saliency import barrier_distance, heat_contrast, motion, spectral_residual
from training.data.tagged_frames import TaggedFrame
from training.data.voc import VOC, read_saliency

Array = npt.NDArray[Any]

COLOR_DETECTORS = ('barrier_distance', 'spectral_residual')
HEAT_DETECTORS = ('heat_and_motion', 'heat_contrast', 'heat_barrier', 'motion')
"""Detectors of a folder; the first one is taken where none is named."""

_MODES = ('L', 'RGB', 'I;16', 'I;16B', 'I;16L', 'I')


class TaggedVOC(Frames[TaggedFrame]):
    """A split of VOC as tagged images.

    Args:
        voc: with the views that it has; saliency is needed for EPS, labels for scoring.
    """

    def __init__(self, voc: VOC) -> None:
        self._voc = voc

    def __len__(self) -> int:
        return len(self._voc)

    def _read(self, index: int) -> TaggedFrame:
        sample = self._voc[index]
        assert sample.tags is not None
        saliency = sample.saliency
        if saliency is not None:
            saliency = np.asarray(np.rint(saliency * 255.0), np.uint8)
        return TaggedFrame(sample.name, sample.tags, sample.rgb, None, saliency, sample.label)


def image_of(name: str) -> str:
    """The image that a frame is, or is a tile of: its stamp in nanoseconds."""
    return name.partition('_')[0]


def _in_time(name: str) -> tuple[int, str]:
    """Key to sort by; stamps of simulated time have fewer digits at its beginning."""
    return len(image_of(name)), name


class TaggedFolder(Frames[TaggedFrame]):
    """The frames of a folder that somebody has looked at, in the order of their stamps.

    Tiles of a thermal image are gray levels, as the robot's gain control shows them within the
    whole image.

    Args:
        folder: of `kd-perception tag`.
        saliency: folder of maps, or name of a detector; the usual one of the modality if empty.
        image_size: (height, width) that frames and saliency are brought to; empty for as they are.

    Attributes:
        classes: Names in the order of the tags.
        tags: Of each frame that somebody has looked at, by its name.
        modality: `rgb` or `thermal`, as the first frame is.
        saliency: Folder or detector that is used.

    Raises:
        DatasetError: no frame is tagged, or a file is missing, damaged or of another kind.
        ConfigError: the detector is of another modality.
    """

    def __init__(
        self, folder: Path | str, saliency: str = '', image_size: Sequence[int] = ()
    ) -> None:
        self.folder, self._size = Path(folder), tuple(image_size)
        table = read_tag_table(self.folder / TAGS_FILE)
        self.classes, self.tags = table.classes, table.tagged()
        self.names = sorted(self.tags, key=_in_time)
        self._all = sorted(table.rows, key=_in_time)
        self._limits: dict[str, tuple[float, float]] = {}
        if not self.names:
            raise DatasetError(
                f'{self.folder / TAGS_FILE} must have tagged frames: open index.html beside it, '
                'tag, and save the table there'
            )
        missing = [name for name in self._all if not self._path(name).is_file()]
        if missing:
            raise DatasetError(
                f'{self.folder / FRAMES} must hold all frames of the table; {len(missing)} are '
                f'missing, as {missing[0]}.png: run `kd-perception tag` again'
            )
        self.modality = 'rgb' if _read_frame(self._path(self.names[0])).ndim == 3 else 'thermal'
        self.saliency = self._chosen(saliency)

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> str:
        """SHA-256 of the names, their tags, and their maps where those are read from a folder."""
        found = hashlib.sha256(
            repr((self.classes, [(name, self.tags[name]) for name in self.names])).encode()
        )
        if self.saliency not in (*COLOR_DETECTORS, *HEAT_DETECTORS):
            for path in (self._map(name) for name in self.names):
                found.update(path.read_bytes() if path.is_file() else b'')
        return found.hexdigest()

    def _path(self, name: str) -> Path:
        return self.folder / FRAMES / f'{name}.png'

    def _map(self, name: str) -> Path:
        return Path(self.saliency) / f'{name}.png'

    def _chosen(self, saliency: str) -> str:
        own, other = (
            (COLOR_DETECTORS, HEAT_DETECTORS)
            if self.modality == 'rgb'
            else (HEAT_DETECTORS, COLOR_DETECTORS)
        )
        if not saliency or saliency in own:
            return saliency or own[0]
        if saliency in other or not Path(saliency).is_dir():
            raise ConfigError(
                f'saliency must be a folder of maps or, for {self.modality}, one of '
                f'{", ".join(own)}; got {saliency!r}'
            )
        return saliency

    def _read(self, index: int) -> TaggedFrame:
        name = self.names[index]
        image = _read_frame(self._path(name))
        if (image.ndim == 3) != (self.modality == 'rgb'):
            raise DatasetError(f'all frames must be of one kind, {self.modality}; {name} is not')
        saliency = self._saliency(name, image)
        check_sizes(self._path(name), {'frame': image, 'saliency': saliency})
        if self.modality == 'thermal' and image_of(name) != name:
            image = self._as_shown(name, image)
        image, saliency = self._sized(image), self._sized(saliency)
        tags = np.array(self.tags[name], bool)
        if self.modality == 'rgb':
            return TaggedFrame(name, tags, rgb=image, saliency=saliency)
        return TaggedFrame(name, tags, thermal=image, saliency=saliency)

    def _as_shown(self, name: str, tile: Array) -> Array:
        """Gray levels of a tile by the limits of its whole image, uint8."""
        whole = image_of(name)
        if whole not in self._limits:
            tiles = [_read_frame(self._path(n)) for n in self._all if image_of(n) == whole]
            pixels = np.concatenate([part.reshape(1, -1) for part in tiles], axis=1)
            self._limits[whole] = agc_limits(pixels, AgcConfig())
        return np.asarray(np.rint(normalize(tile, *self._limits[whole]) * 255.0), np.uint8)

    def _sized(self, image: Array) -> Array:
        if not self._size or image.shape[:2] == self._size:
            return image
        shrinks = self._size[0] < image.shape[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, self._size[::-1], interpolation=method))

    def _saliency(self, name: str, image: Array) -> Array:
        if self.saliency == 'spectral_residual':
            return spectral_residual(image)
        if self.saliency in ('barrier_distance', 'heat_barrier'):
            return barrier_distance(image)
        if self.saliency == 'heat_contrast':
            return heat_contrast(image)
        if self.saliency == 'motion':
            return self._motion(name, image)
        if self.saliency == 'heat_and_motion':
            return np.asarray(np.maximum(heat_contrast(image), self._motion(name, image)))
        levels = read_saliency(self._map(name))
        return np.asarray(np.rint(levels * 255.0), np.uint8)

    def _motion(self, name: str, image: Array) -> Array:
        """Against the frames before and after, of the same tile, tagged or not."""
        tile = name.partition('_')[2]
        row = [other for other in self._all if other.partition('_')[2] == tile]
        place = row.index(name)
        neighbors = [row[max(place - 1, 0)], row[min(place + 1, len(row) - 1)]]
        previous, following = (_read_frame(self._path(other)) for other in neighbors)
        return motion(previous, image, following)


def _read_frame(path: Path) -> Array:
    image = read_pixels(path, _MODES, 'a frame of one channel of 8 or 16 bits, or of color')
    return image if image.dtype == np.uint8 else image.astype(np.uint16)
