# SPDX-License-Identifier: Apache-2.0
"""The four labeled real thermal tiles that serve as a first look at reality.

They are cut from a figure of the RTFNet repository (MFNet photographs) and are not part of this
repository; the folder is found through KD_PERCEPTION_REAL_DATA.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kd_perception.errors import ConfigError

Array = npt.NDArray[Any]

TILES = ('00', '01', '02', '03')


def real_data_folder() -> Path:
    """Where the real samples are: KD_PERCEPTION_REAL_DATA, else beside the repository."""
    beside = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'data' / 'real'
    return Path(os.environ.get('KD_PERCEPTION_REAL_DATA', beside))


def load_real_tiles() -> list[tuple[Array, Array]]:
    """Thermal image (uint8, after the camera's AGC) and label (uint8, 255: uncertain) per tile.

    Returns:
        One pair per tile; empty where the folder is absent.

    Raises:
        ConfigError: the folder is there but a tile is not.
    """
    folder = real_data_folder() / 'rtfnet_tiles'
    return [_load(folder, name) for name in TILES] if folder.is_dir() else []


def _load(folder: Path, name: str) -> tuple[Array, Array]:
    thermal = cv2.imread(str(folder / f'{name}_thermal.png'), cv2.IMREAD_GRAYSCALE)
    path = folder / f'{name}_label.png'
    if thermal is None or not path.is_file():
        raise ConfigError(f'{folder} must hold {name}_thermal.png and {path.name}')
    # The labels are palette images: the index is the class, OpenCV would give the colors.
    return np.asarray(thermal), np.asarray(Image.open(path))
