# SPDX-License-Identifier: Apache-2.0
"""Saliency of tagged thermal frames out of a student: what is anything at all, whatever it is.

    python -m training.student_saliency tagged --student thermal_seg_s
    python -m training.recipes.eps --config_path training/configs/eps/bag.yaml --tagged tagged \
        --saliency tagged/saliency

A network that was trained on other images tells things from background without being asked which
things they are, as the saliency networks of papers do. It has seen labels of pixels, though, and
finds best what it was trained to find: say so where results are told. Tiles of an image are put
together again before it looks, since it knows whole street scenes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.evaluation.image_folder import read_frame
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from kd_perception.resources import student_folder
from kd_perception.tagging.tag_files import FRAMES
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world_export.pictures import write_picture

Array = npt.NDArray[Any]

SALIENCY = 'saliency'

Grid = list[list[Path]]
"""Files of the tiles of an image, row by row; one file where it was not cut."""

_TILE = re.compile(r'(?P<image>.+_)(?P<row>[0-9]{1,2})_(?P<column>[0-9]{1,2})')


def saliency_from_prediction(mask: Array, confidence: Array) -> Array:
    """How sure it is that a pixel is some thing.

    Args:
        mask: class ids, uint8 [height, width]; 0 is background, 255 no prediction.
        confidence: of the mask, uint8, 0 to 255.

    Returns:
        uint8 [height, width]: the confidence of things, 255 less that of background, and 0 where
        nothing was predicted.
    """
    found = np.where(mask == 0, 255 - confidence, confidence)
    return np.asarray(np.where(mask == IGNORE_INDEX, 0, found), np.uint8)


def grids_of(paths: Sequence[Path]) -> Iterator[Grid]:
    """Files by image, in the order of the files; tiles of an image that lacks some stay alone."""
    images: dict[str, dict[tuple[int, int], Path]] = {}
    for path in paths:
        found = _TILE.fullmatch(path.stem)
        place = (int(found['row']), int(found['column'])) if found else (0, 0)
        images.setdefault(found['image'] if found else path.stem, {})[place] = path
    for tiles in images.values():
        rows, columns = (range(1 + max(place[axis] for place in tiles)) for axis in (0, 1))
        if len(tiles) == len(rows) * len(columns):
            yield [[tiles[row, column] for column in columns] for row in rows]
        else:
            yield from ([[path]] for path in tiles.values())


def joined(frames: Sequence[Sequence[Frame]]) -> Frame:
    """One frame of its tiles.

    Raises:
        DatasetError: they differ in size or type.
    """
    kinds = {(f.image.shape, f.encoding) for row in frames for f in row}
    if len(kinds) > 1:
        raise DatasetError(f'tiles of an image must be of one size and type, found {kinds}')
    return Frame(np.block([[f.image for f in row] for row in frames]), frames[0][0].encoding, 0)


def write_saliency(folder: Path, pipeline: Pipeline, target: Path) -> int:
    """Write a map for every frame of a folder of `kd-perception tag`.

    Args:
        folder: with `frames/`.
        pipeline: of a student whose class 0 is background; it is reset before each frame.
        target: folder of the maps, made if needed.

    Returns:
        How many maps were written.

    Raises:
        DatasetError: there is no frame, or the tiles of one do not fit together.
        ConfigError: class 0 of the student is a thing.
        ImageEncodingError: a frame is in color or damaged.
    """
    first = pipeline.student.spec.classes[0].name
    if first not in ('background', 'unlabeled'):
        raise ConfigError(f'class 0 of the student must be background, it is {first}')
    paths = sorted((folder / FRAMES).glob('*.png'))
    if not paths:
        raise DatasetError(f'{folder / FRAMES} must hold frames: run `kd-perception tag` first')
    for grid in tqdm(list(grids_of(paths)), desc='saliency', unit='image'):
        frame = joined([[read_frame(path) for path in row] for row in grid])
        pipeline.reset()
        result = pipeline.step(frame, Output.MASK | Output.CONFIDENCE)
        assert result.confidence is not None
        found = saliency_from_prediction(result.mask, result.confidence)
        high, wide = found.shape[0] // len(grid), found.shape[1] // len(grid[0])
        for y, x in product(range(len(grid)), range(len(grid[0]))):
            part = found[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
            write_picture(target / grid[y][x].name, np.ascontiguousarray(part))
    return len(paths)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the maps of a folder."""
    parser = argparse.ArgumentParser(description='Let a student tell things from background.')
    parser.add_argument('folder', type=Path, help='of kd-perception tag')
    parser.add_argument('--student', default='thermal_seg_s', help='name or bundle folder')
    parser.add_argument('--out', type=Path, help='folder of the maps (saliency in the folder)')
    own = parser.parse_args(arguments)
    student, target = load_student(student_folder(own.student)), own.out or own.folder / SALIENCY
    backend = create_backend(student, threads=1)
    try:
        count = write_saliency(own.folder, Pipeline(student, backend), target)
    finally:
        backend.close()
    print(f'{count} maps of {own.student} in {target}')


if __name__ == '__main__':
    main()
