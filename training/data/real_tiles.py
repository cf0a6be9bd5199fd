# SPDX-License-Identifier: Apache-2.0
"""The four labeled real tiles, thermal and color, that serve as a first look at reality.

They are cut from a figure of the RTFNet repository (MFNet photographs) and are not part of this
repository; the folder is found through KD_PERCEPTION_REAL_DATA. The world was fitted to them, so
that they test nothing that learnt from it (`NO_TEST`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kd_perception.errors import DatasetError

Array = npt.NDArray[Any]

TILES = ('00', '01', '02', '03')

NO_TEST = (
    'gray levels, heat contrasts and sizes in the synthetic world were fitted to statistics of '
    'these tiles and their labels (training/realism.py): scores on them are no test'
)
"""To be said wherever such a score is shown."""


@dataclass(frozen=True)
class RealTile:
    """One tile; arrays [height, width].

    Args:
        thermal: after the camera's own gain control, uint8.
        rgb: color image, uint8 [height, width, 3], registered to the thermal one.
        label: class id, uint8, 255: uncertain.
    """

    thermal: Array
    rgb: Array
    label: Array


def real_data_folder() -> Path:
    """Where the real samples are: KD_PERCEPTION_REAL_DATA, else beside the repository."""
    beside = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'data' / 'real'
    return Path(os.environ.get('KD_PERCEPTION_REAL_DATA', beside))


def load_real_tiles() -> list[RealTile]:
    """All tiles; none where the folder is absent.

    Raises:
        DatasetError: the folder is there but a file of a tile is not.
    """
    folder = real_data_folder() / 'rtfnet_tiles'
    return [_load(folder, name) for name in TILES] if folder.is_dir() else []


def _load(folder: Path, name: str) -> RealTile:
    # The labels are palette images: the index is the class, a conversion would give the colors.
    modes = {'thermal': 'L', 'rgb': 'RGB', 'label': None}
    return RealTile(**{k: _read(folder / f'{name}_{k}.png', mode) for k, mode in modes.items()})


def _read(path: Path, mode: str | None) -> Array:
    if not path.is_file():
        raise DatasetError(f'{path} must exist: a tile is three files, thermal, rgb and label')
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)
