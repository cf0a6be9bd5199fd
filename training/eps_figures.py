# SPDX-License-Identifier: Apache-2.0
"""A picture of masks: image, saliency, class maps and masks of CAM and EPS, ground truth.

    python -m training.eps_figures --file docs/images/eps_masks.png --runs cam eps

Runs are files of `training/configs/eps` that were run before; the first one's images are shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.data.tagged_frames import TaggedFrame
from training.pictures import below, beside, header, sized
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_data import RunFrames
from training.recipes.eps_mask_files import read_mask, read_shares
from training.recipes.eps_report import heat_picture, picture_of, saliency_picture
from training.recipes.eps_scores import spread_over
from training.settings import config_file, load_config

Array = npt.NDArray[Any]

CONFIGS = Path(__file__).parent / 'configs' / 'eps'
WIDTH_PX = 144

_SHOWN = 6


def load_runs(names: Sequence[str], seed: int, changes: Sequence[str] = ()) -> list[EpsConfig]:
    """Configurations by name.

    Args:
        names: files of `training/configs/eps` without their ending.
        seed: of the runs.
        changes: further arguments of all of them.

    Raises:
        ConfigError: there is no such file.
    """
    runs = []
    for name in names:
        path = config_file(CONFIGS, name)
        arguments = ['--config_path', str(path), '--seed', str(seed), *changes]
        runs.append(load_config(EpsConfig, arguments))
    return runs


def tiles_of(frame: TaggedFrame, runs: Sequence[EpsConfig]) -> list[Array]:
    """What is shown of a frame, uint8 [height, width, 3] RGB each.

    The map of a run is, in each pixel, the largest share of a class.

    Raises:
        ConfigError: the masks of a run are not there.
    """
    tiles = [picture_of(frame, runs[0].modality), saliency_picture(frame)]
    for config in runs:
        shares = read_shares(config, frame.name)
        tiles.append(heat_picture(shares.max(axis=0)))
        tiles.append(config.label_set.palette[read_mask(config, frame.name)])
    if frame.label is not None:
        palette = runs[0].label_set.palette.copy()
        palette[255] = 128
        tiles.append(palette[frame.label])
    return tiles


def picture(frames: Sequence[TaggedFrame], runs: Sequence[EpsConfig]) -> Array:
    """A row per frame under the names of the columns, uint8 [height, width, 3] RGB."""
    names = ['image', 'saliency']
    for config in runs:
        label = config.name.replace('_', ' ')
        names += [f'{label}: maps', f'{label}: mask']
    if frames[0].label is not None:
        names.append('ground truth')
    rows = [beside([_narrow(tile) for tile in tiles_of(frame, runs)]) for frame in frames]
    return np.vstack([header(names, WIDTH_PX), below(rows)])


def _narrow(tile: Array) -> Array:
    return sized(tile, (round(WIDTH_PX * tile.shape[0] / tile.shape[1]), WIDTH_PX))


def shown_frames(frames: Sequence[TaggedFrame], count: int) -> list[int]:
    """The first frame with a tag of each of some equal parts; its first one where none has."""
    starts = spread_over(len(frames), count)
    ends = [*starts[1:], len(frames)]
    return [
        next((k for k in range(start, end) if np.any(frames[k].tags)), start)
        for start, end in zip(starts, ends, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and write; further arguments change the configurations."""
    parser = argparse.ArgumentParser(description='Draw class maps and masks of runs of EPS.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--runs', nargs='+', required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', type=int, nargs='+', help='six with a tag if left out')
    own, rest = parser.parse_known_args(arguments)
    runs = load_runs(own.runs, own.seed, rest)
    train = RunFrames(runs[0])['train']
    image = picture([train[k] for k in own.frames or shown_frames(train, _SHOWN)], runs)
    own.file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(own.file), image[..., ::-1])


if __name__ == '__main__':
    main()
