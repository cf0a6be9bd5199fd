# SPDX-License-Identifier: Apache-2.0
"""Saliency of a folder of tagged images: from a folder of maps, or found by a detector.

Maps are files `<name>.png`, 8-bit gray or RGB, of the size of the frame; `saliency.json` beside
them may say what made them, as `training.student_saliency` writes it. Detectors are guesses, not
networks: of color `barrier_distance` and `spectral_residual`, of heat `heat_contrast`,
`heat_barrier`, `motion` and `heat_and_motion`. They look at whole images, not at tiles, and
records name the one that was taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.tagging.frame_names import image_of, place_of
from kd_perception.tagging.tag_files import NEIGHBORS, SIDES, neighbor_path
from training.data.saliency import barrier_distance, heat_contrast, motion, spectral_residual
from training.data.voc import read_saliency

Array = npt.NDArray[Any]

COLOR_DETECTORS: Mapping[str, Callable[[Array], Array]] = {
    'barrier_distance': barrier_distance,
    'spectral_residual': spectral_residual,
}
STILL_HEAT_DETECTORS: Mapping[str, Callable[[Array], Array]] = {
    'heat_contrast': heat_contrast,
    'heat_barrier': barrier_distance,
}
HEAT_DETECTORS = (*STILL_HEAT_DETECTORS, 'motion', 'heat_and_motion')
"""The first detector of a modality is taken where none is named."""

DESCRIPTION_FILE = 'saliency.json'


class FolderSaliency:
    """Where the saliency of a folder comes from.

    Args:
        folder: of `kd-perception tag`.
        source: folder of maps, or name of a detector; the usual one of the modality if empty.
        modality: `rgb` or `thermal`.
        read: gives the pixels of a file.

    Attributes:
        source: Folder or detector that is used.
        detected: Whether it is a detector.

    Raises:
        ConfigError: the detector is of another modality, or needs images around each one that the
            folder has not.
    """

    def __init__(
        self, folder: Path, source: str, modality: str, read: Callable[[Path], Array]
    ) -> None:
        own, other = tuple(COLOR_DETECTORS), HEAT_DETECTORS
        if modality == 'thermal':
            own, other = other, own
        self.source = source or own[0]
        self.detected = self.source in own
        if not self.detected and (source in other or not Path(source).is_dir()):
            raise ConfigError(
                f'saliency must be a folder of maps or, for {modality}, one of '
                f'{", ".join(own)}; got {source!r}'
            )
        if self.source.endswith('motion') and not (folder / NEIGHBORS).is_dir():
            raise ConfigError(
                f'saliency {self.source} needs the images around each one: run `kd-perception '
                'tag` with --neighbors, or take heat_contrast'
            )
        self._folder, self._read = folder, read

    def detect(self, name: str, image: Array) -> Array:
        """What the detector finds in an image.

        Args:
            name: of the image, or of a tile that stands alone.
            image: its pixels, as stored.

        Returns:
            uint8 [height, width].
        """
        if self.source in COLOR_DETECTORS:
            return COLOR_DETECTORS[self.source](image)
        if self.source in STILL_HEAT_DETECTORS:
            return STILL_HEAT_DETECTORS[self.source](image)
        moved = self._motion(name, image)
        if self.source == 'motion':
            return moved
        return np.asarray(np.maximum(heat_contrast(image), moved))

    def map_path(self, name: str) -> Path:
        """File of the map of a frame."""
        return Path(self.source) / f'{name}.png'

    def read(self, name: str) -> Array:
        """The map of a frame from its file, uint8 [height, width].

        Raises:
            DatasetError: it is missing or damaged.
        """
        return np.asarray(np.rint(read_saliency(self.map_path(name)) * 255.0), np.uint8)

    def _motion(self, name: str, image: Array) -> Array:
        """Against the images before and after it in the recording; itself where there is none."""
        row, column = place_of(name) or (0, 0)
        top, left = row * image.shape[0], column * image.shape[1]
        sides = []
        for side in SIDES:
            path = neighbor_path(self._folder, image_of(name), side)
            whole = self._read(path) if path.is_file() else None
            own = np.s_[top : top + image.shape[0], left : left + image.shape[1]]
            sides.append(image if whole is None else whole[own])
        return motion(sides[0], image, sides[1])


def described(folder: Path) -> dict[str, Any]:
    """What `saliency.json` in a folder of maps says; nothing if it is not there.

    Raises:
        DatasetError: it is no JSON object.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise DatasetError(f'{path} must be a JSON object: {error}') from error
