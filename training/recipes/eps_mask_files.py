# SPDX-License-Identifier: Apache-2.0
"""Files of masks and class maps of an EPS run: whole and on the disk, or not there."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError
from kd_perception.files import unfinished_files, write_atomically
from kd_perception.world_export.pictures import palette_png
from training.data.images import read_label
from training.recipes.eps_config import EpsConfig

Array = npt.NDArray[Any]


def mask_path(config: EpsConfig, name: str) -> Path:
    """File of the mask of a frame."""
    return config.masks_folder / f'{name}.png'


def shares_path(config: EpsConfig, name: str) -> Path:
    """File of the class maps of a frame as shares, float16 [classes, height, width]."""
    return config.shares_folder / f'{name}.npz'


def write_mask(config: EpsConfig, name: str, mask: Array) -> None:
    """Write a mask; whole and on the disk, or not at all."""
    data = palette_png(mask, config.label_set.palette)
    _write_whole(mask_path(config, name), lambda file: file.write(data))


def read_mask(config: EpsConfig, name: str) -> Array:
    """The mask of a frame, uint8 [height, width].

    Raises:
        ConfigError: it was not made yet.
    """
    path = mask_path(config, name)
    if not path.is_file():
        raise ConfigError(f'{path} must be there: run stage masks first')
    return read_label(path, config.label_set)


def write_shares(config: EpsConfig, name: str, shares: Array) -> None:
    """Write the class maps of a frame, without those that are 0; whole or not at all."""
    present = np.flatnonzero(shares.reshape(len(shares), -1).max(axis=1) > 0.0)
    arrays = {'present': present, 'shares': shares[present].astype(np.float16)}
    size = {'size': np.array(shares.shape)}
    _write_whole(shares_path(config, name), lambda file: np.savez(file, **arrays, **size))


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file into a folder that is made if needed; what a killed process left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in unfinished_files(path):
        left.unlink(missing_ok=True)
    write_atomically(path, write)


def read_shares(config: EpsConfig, name: str) -> Array:
    """Class maps of a frame, float32 [classes, height, width].

    Raises:
        ConfigError: they were not made yet.
        DatasetError: the file is damaged.
    """
    path = shares_path(config, name)
    if not path.is_file():
        raise ConfigError(f'{path} must be there: run stage masks first')
    try:
        with np.load(path, allow_pickle=False) as arrays:
            shares = np.zeros(tuple(arrays['size'].tolist()), np.float32)
            shares[arrays['present']] = arrays['shares']
    except (
        OSError, KeyError, ValueError, IndexError, EOFError, zlib.error, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise DatasetError(f'{path} is damaged: {error}. Remove it, and run again') from error
    return shares
