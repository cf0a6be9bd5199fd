# SPDX-License-Identifier: Apache-2.0
"""Masks of objects that a detector of one's own drew for frames of a data set.

    <folder>/<name>.png      one channel of 8 or 16 bits, 0 = background, any other an object's id

Of KITTI a frame's name is <date>/<drive>/image_0{2,3}/data/%010d, as in the raw drives; of a
recording it is the header stamp of the left image in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from training.data.images import read_pixels

Array = npt.NDArray[Any]

_MODES = ('L', 'P', 'I;16', 'I;16B', 'I;16L', 'I')  # older versions of Pillow open 16 bits as I


class InstanceMasks:
    """The masks in a folder, of frames that have one.

    Args:
        folder: see above.
        names: of the frames that will be asked for.

    Raises:
        ConfigError: there is no such folder, or no mask of any of the frames in it.
    """

    def __init__(self, folder: Path | str, names: Iterable[str]) -> None:
        self.folder = Path(folder).resolve()
        example = None
        for name in names:
            example = name if example is None else example
            if self._path(name).is_file():
                return
        raise ConfigError(
            f'a folder of instances must have <frame>.png of some frames that are learnt from, as '
            f'{self.folder / f"{example}.png"}; there is none'
        )

    def read(self, name: str, size: tuple[int, int]) -> Array | None:
        """The mask of a frame; None where it has none.

        Args:
            name: of the frame.
            size: (height, width) of its image, of which the mask shows all at any size.

        Returns:
            int32 [height, width], 0 = background.

        Raises:
            DatasetError: the file is damaged, larger than an image may be, of another kind, or
                lies outside of the folder.
        """
        path = self._path(name)
        if not path.is_file():
            return None
        ids = read_pixels(path, _MODES, 'a mask of one channel of 8 or 16 bits').astype(np.int32)
        if ids.shape == tuple(size):
            return ids
        return np.asarray(cv2.resize(ids, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT))

    def _path(self, name: str) -> Path:
        path = (self.folder / f'{name}.png').resolve()
        if not path.is_relative_to(self.folder):
            raise DatasetError(f'masks must lie in {self.folder}; that of {name!r} is {path}')
        return path
