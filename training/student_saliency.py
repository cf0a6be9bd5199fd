# SPDX-License-Identifier: Apache-2.0
"""Saliency of tagged frames out of a student: what is anything at all, whatever it is.

    python -m training.student_saliency tagged --student thermal_seg_s
    python -m training.recipes.eps --config_path training/configs/eps/bag.yaml --tagged tagged \
        --saliency tagged/saliency

A network that was trained on other images tells things from background without being asked which
things they are, as the saliency networks of papers do. It has seen labels of pixels, though, and
finds best what it was trained to find: `saliency.json` beside the maps names it, and records and
cards of what is learnt from them do. Tiles of an image are put together again before it looks,
since it knows whole street scenes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.backends import create_backend
from kd_perception.bundle import Student, load_student
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.evaluation.image_folder import read_color_frame, read_frame
from kd_perception.files import write_atomically
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from kd_perception.resources import student_folder
from kd_perception.tagging.frame_names import Grid, grids_of, in_time
from kd_perception.tagging.tag_files import FRAMES
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world_export.pictures import write_picture
from training.data.folder_saliency import DESCRIPTION_FILE
from training.data.tagged_folder import joined

Array = npt.NDArray[Any]

SALIENCY = 'saliency'


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
        ImageEncodingError: a frame is damaged, or in color where the student sees heat.
    """
    first = pipeline.student.spec.classes[0].name
    if first not in ('background', 'unlabeled'):
        raise ConfigError(f'class 0 of the student must be background, it is {first}')
    paths = sorted((folder / FRAMES).glob('*.png'))
    if not paths:
        raise DatasetError(f'{folder / FRAMES} must hold frames: run `kd-perception tag` first')
    names = sorted((path.stem for path in paths), key=in_time)
    for grid in tqdm(list(grids_of(names)), desc='saliency', unit='image'):
        found = _saliency_of(grid, folder / FRAMES, pipeline)
        high, wide = found.shape[0] // len(grid), found.shape[1] // len(grid[0])
        for y, x in product(range(len(grid)), range(len(grid[0]))):
            part = found[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
            write_picture(target / f'{grid[y][x]}.png', np.ascontiguousarray(part))
    write_description(target, pipeline.student)
    return len(paths)


def _saliency_of(grid: Grid, folder: Path, pipeline: Pipeline) -> Array:
    """What the student takes for things in the image of some tiles."""
    read = read_color_frame if pipeline.student.spec.input.modality == 'rgb' else read_frame
    frames = [[read(folder / f'{name}.png') for name in row] for row in grid]
    pixels = joined([[frame.image for frame in row] for row in frames])
    pipeline.reset()
    frame = Frame(pixels, frames[0][0].encoding, 0)
    result = pipeline.step(frame, Output.MASK | Output.CONFIDENCE)
    assert result.confidence is not None
    return saliency_from_prediction(result.mask, result.confidence)


def write_description(folder: Path, student: Student) -> None:
    """Say beside the maps what made them, for records and cards."""
    described = {
        'source': 'student',
        'student': student.spec.name,
        'sha256': student.sha256,
        'recipe': student.spec.provenance.get('recipe', 'not known'),
        'trained_on': student.spec.provenance.get('trained_on', 'not known'),
    }
    text = json.dumps(described, indent=2) + '\n'
    write_atomically(folder / DESCRIPTION_FILE, lambda file: file.write(text.encode()))


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
