# SPDX-License-Identifier: Apache-2.0
"""Real thermal frames by set, as a camera would send them to the node.

Below the folder that KD_PERCEPTION_REAL_DATA names, whose files are no part of this repository:

    rtfnet_tiles/<number>_{thermal,rgb,label}.png  four labeled tiles (`training.data.real_tiles`)
    msrs_pairs/*/ir/<stem>.png, */vi/<stem>.png    pairs of MSRS, whose makers stretched the
                                                   contrast of the thermal half; no labels
    thermal16/**/*.png, *.tif, *.tiff              16-bit frames of other cameras, no labels; files
                                                   of 8 bits and JPEG are pictures in false color

Labeled frames of one's own are read from a folder with <stem>_thermal.png and <stem>_label.png,
labels being ids of MFNet.

Reference:
    L. Tang et al., "PIAFusion: A Progressive Infrared and Visible Image Fusion Network Based on
    Illumination Aware", Information Fusion 2022 (MSRS).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import DatasetError
from kd_perception.evaluation.image_folder import read_frame
from kd_perception.evaluation.result import array_sha256
from kd_perception.frames import Frame
from kd_perception.label_sets import MFNET
from training.data.images import check_sizes, read_label, read_rgb
from training.data.real_tiles import TILES, load_real_tiles, real_data_folder

Array = npt.NDArray[Any]

TILE_SET = 'rtfnet_tiles'
"""The frames that the world was fitted to, and that may choose checkpoints."""

SETS = (TILE_SET, 'msrs_pairs', 'thermal16')

_DEEP_SUFFIXES = ('.png', '.tif', '.tiff')


class RealFrame(NamedTuple):
    """One frame; all parts are pixel on pixel.

    Attributes:
        name: in its set.
        frame: image with its encoding, thermal as these are loaded.
        label: MFNet class id, uint8 [height, width], 255: does not count; None where unknown.
        rgb: color image of the same view, uint8 [height, width, 3]; None where there is none.
    """

    name: str
    frame: Frame
    label: Array | None = None
    rgb: Array | None = None


def load_real_sets() -> dict[str, list[RealFrame]]:
    """The sets that are there, by name.

    Raises:
        DatasetError: there is none, or a file is damaged or lacks its other half.
    """
    sets = find_real_sets()
    if not sets:
        raise DatasetError(
            f'real thermal frames must lie in {", ".join(SETS)} of {real_data_folder()}; it has '
            'none of these folders: set KD_PERCEPTION_REAL_DATA'
        )
    return sets


def find_real_sets() -> dict[str, list[RealFrame]]:
    """The same; nothing where there is none.

    Raises:
        DatasetError: a file is damaged or lacks its other half.
    """
    root = real_data_folder()
    found = (_tiles(), _pairs(root / 'msrs_pairs'), _deep_frames(root / 'thermal16'))
    return {name: frames for name, frames in zip(SETS, found, strict=True) if frames}


def load_labeled_folder(folder: Path) -> list[RealFrame]:
    """Frames <stem>_thermal.png with their <stem>_label.png.

    Raises:
        DatasetError: there is none, a label is missing, or sizes differ.
    """
    files = sorted(folder.glob('*_thermal.png'))
    if not files:
        raise DatasetError(f'{folder} must hold <stem>_thermal.png and <stem>_label.png: none is')
    frames = []
    for path in files:
        stem = path.name.removesuffix('_thermal.png')
        label = read_label(path.with_name(f'{stem}_label.png'), MFNET)
        frame = read_frame(path)
        check_sizes(path, {'thermal': frame.image, 'label': label})
        frames.append(RealFrame(stem, frame, label))
    return frames


def set_digest(frames: Iterable[RealFrame]) -> str:
    """SHA-256 of names, images and labels, in order."""
    digest = hashlib.sha256()
    for real in frames:
        parts = [array_sha256(a) for a in (real.frame.image, real.label) if a is not None]
        digest.update(' '.join([real.name, *parts]).encode())
    return digest.hexdigest()


def _tiles() -> list[RealFrame]:
    tiles = load_real_tiles()
    return [
        RealFrame(name, Frame(tile.thermal, 'mono8', 0), tile.label, tile.rgb)
        for name, tile in zip(TILES if tiles else (), tiles, strict=True)
    ]


def _pairs(folder: Path) -> list[RealFrame]:
    frames = []
    for path in sorted(folder.glob('*/ir/*.png')):
        frame, rgb = read_frame(path), read_rgb(path.parents[1] / 'vi' / path.name)
        check_sizes(path, {'thermal': frame.image, 'color': rgb})
        frames.append(RealFrame(path.stem, frame, None, rgb))
    return frames


def _deep_frames(folder: Path) -> list[RealFrame]:
    files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in _DEEP_SUFFIXES)
    frames = [RealFrame(path.stem, read_frame(path)) for path in files]
    return [real for real in frames if real.frame.image.dtype == np.uint16]
