# SPDX-License-Identifier: Apache-2.0
"""Saliency of tagged thermal frames out of a student: what is anything at all, whatever it is.

    python -m training.student_saliency tagged --student thermal_seg_s
    python -m training.recipes.eps --config_path training/configs/eps/bag.yaml --tagged tagged \
        --saliency tagged/saliency

A network that was trained on other images tells things from background without being asked which
things they are, as the saliency networks of papers do. It has seen labels of pixels, though, and
finds best what it was trained to find: say so where results are told.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError, DatasetError
from kd_perception.evaluation.image_folder import read_frame
from kd_perception.pipeline import Output, Pipeline
from kd_perception.resources import student_folder
from kd_perception.tagging.extraction import FRAMES
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world_export.pictures import write_picture

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
        DatasetError: there is no frame.
        ConfigError: class 0 of the student is a thing.
        ImageEncodingError: a frame is in color or damaged.
    """
    first = pipeline.student.spec.classes[0].name
    if first not in ('background', 'unlabeled'):
        raise ConfigError(f'class 0 of the student must be background, it is {first}')
    paths = sorted((folder / FRAMES).glob('*.png'))
    if not paths:
        raise DatasetError(f'{folder / FRAMES} must hold frames: run `kd-perception tag` first')
    for path in tqdm(paths, desc='saliency', unit='frame'):
        pipeline.reset()
        result = pipeline.step(read_frame(path), Output.MASK | Output.CONFIDENCE)
        assert result.confidence is not None
        found = saliency_from_prediction(result.mask, result.confidence)
        write_picture(target / path.name, found)
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
