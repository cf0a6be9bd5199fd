# SPDX-License-Identifier: Apache-2.0
"""A picture of depth, uncertainty and error of runs of mutual distillation on the test split.

    python -m training.mutual_figures --file docs/images/mutual_depth.png \
        --branches sup_unsup:supervised filter_none:supervised plain_sum:summed
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.metrics import depth_from_inverse, resized
from training.depth_evaluation import Predict, Scored
from training.depth_pictures import depth_picture, error_picture, sigma_picture
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import scored_frames
from training.recipes.mutual_distillation_report import predictor
from training.recipes.mutual_distillation_trained import trained_network
from training.settings import config_file, load_config

Array = npt.NDArray[Any]

CONFIGS = Path(__file__).parent / 'configs' / 'mutual_distillation'
_HEADER_PX, _GAP_PX, _ZOOM = 20, 4, 2


class Shown(NamedTuple):
    """A branch with its name, and whether it has learnt an uncertainty."""

    name: str
    predict: Predict
    unsure: bool


def load_shown(
    names: Sequence[str], seed: int, changes: Sequence[str] = ()
) -> tuple[list[Shown], MutualConfig]:
    """Branches by `run:branch`, and the configuration of the first run.

    Args:
        names: run (a file of `training/configs/mutual_distillation` without its ending) and the
            name of a branch of it.
        seed: of the runs.
        changes: further arguments of the configurations.

    Raises:
        ConfigError: there is no such run or branch, or the run is not trained.
    """
    shown, configs = [], []
    for name in names:
        run, _, branch = name.partition(':')
        path = config_file(CONFIGS, run)
        config = load_config(
            MutualConfig, ['--config_path', str(path), '--seed', str(seed), *changes]
        )
        if branch not in config.branch_names:
            raise ConfigError(
                f'branches must be run:branch, {run} has {list(config.branch_names)}, got {name!r}'
            )
        number = config.branch_names.index(branch)
        network: Any = trained_network(config).branches[number]
        unsure = config.branches[number].uncertainty != 'none'
        shown.append(Shown(f'{run} {branch}', predictor(network, config.image_size), unsure))
        configs.append(config)
    return shown, configs[0]


def rows_of(frame: Scored, shown: Sequence[Shown]) -> list[Array]:
    """Color and true depth, then depth, sigma and error of each branch, [h, 3 w, 3] each."""
    empty = np.full_like(frame.rgb, 255)
    rows = [np.hstack([frame.rgb, depth_picture(frame.target_m), empty])]
    size = frame.target_m.shape
    for each in shown:
        found = each.predict(frame)
        depth_m = depth_from_inverse(found.inverse_depth, size)
        sigma = sigma_picture(resized(found.sigma, size)) if each.unsure else empty
        error = error_picture(depth_m, frame.target_m)
        rows.append(np.hstack([depth_picture(depth_m), sigma, error]))
    return rows


def picture(frames: Sequence[Scored], shown: Sequence[Shown]) -> Array:
    """Frames beside each other, branches below each other, uint8 [height, width, 3] RGB."""
    titles = ['color, true depth', *(each.name.replace('_', ' ') for each in shown)]
    columns = [rows_of(frame, shown) for frame in frames]
    parts: list[Array] = []
    for k, title in enumerate(titles):
        tiles = [cv2.resize(column[k], None, fx=_ZOOM, fy=_ZOOM) for column in columns]
        gaps = [np.full((tile.shape[0], _GAP_PX, 3), 255, np.uint8) for tile in tiles]
        row = np.hstack([part for pair in zip(tiles, gaps, strict=True) for part in pair])
        parts += [_header(title, row.shape[1]), row]
    return np.vstack(parts)


def _header(title: str, width: int) -> Array:
    image = np.full((_HEADER_PX, width, 3), 255, np.uint8)
    place = (2, _HEADER_PX - 6)
    cv2.putText(image, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0,) * 3, 1, cv2.LINE_AA)
    return image


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and write; further arguments change the configurations."""
    parser = argparse.ArgumentParser(description='Draw depth of runs of mutual distillation.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--branches', nargs='+', required=True, help='run:branch')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', type=int, nargs='+', default=[0, 1, 2])
    own, rest = parser.parse_known_args(arguments)
    shown, config = load_shown(own.branches, own.seed, rest)
    test = scored_frames(config)['test']
    image = picture([test[k] for k in own.frames], shown)
    own.file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(own.file), image[..., ::-1])


if __name__ == '__main__':
    main()
