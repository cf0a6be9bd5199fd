# SPDX-License-Identifier: Apache-2.0
"""A picture of what the networks of CEKD say about frames of the test split.

    python -m training.cekd_figures --file docs/images/cekd_predictions.png \
        --networks full:teacher full:student thermal_teacher:student all_labels:student
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from kd_perception.errors import ConfigError
from kd_perception.models import CENet
from training.data.modality import LabeledFrame, network_image
from training.pictures import below, beside, gray_picture, header, sized
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_networks import Student
from training.recipes.cekd_report import scored_splits
from training.recipes.cekd_trained import ROLES, trained_network
from training.settings import config_file, load_config

Array = npt.NDArray[Any]

CONFIGS = Path(__file__).parent / 'configs' / 'cekd'
_ZOOM = 2


class Shown(NamedTuple):
    """A network with the name of its column."""

    name: str
    network: CENet | Student


def load_shown(names: Sequence[str], seed: int, changes: Sequence[str] = ()) -> list[Shown]:
    """Networks by `run:role`.

    Args:
        names: run (a file of `training/configs/cekd` without its ending) and role.
        seed: of the runs.
        changes: further arguments of the configurations.

    Raises:
        ConfigError: a name is of another form, or the run is unknown or not trained.
    """
    shown = []
    for name in names:
        run, _, role = name.partition(':')
        if role not in ROLES:
            raise ConfigError(f'networks must be run:role with role in {ROLES}, got {name!r}')
        config = _config(run, seed, changes)
        shown.append(Shown(f'{run} {role}', trained_network(config, role)[0]))
    return shown


def _config(run: str, seed: int, changes: Sequence[str]) -> CekdConfig:
    path = config_file(CONFIGS, run)
    return load_config(CekdConfig, ['--config_path', str(path), '--seed', str(seed), *changes])


@torch.no_grad()
def mask_of(network: CENet | Student, frame: LabeledFrame, config: CekdConfig) -> Array:
    """What a network says, in colors, uint8 [height, width, 3]."""
    modality = getattr(network.config, 'modality', 'thermal')
    image, _ = network_image(frame, modality, config.image_size)
    mask = network(torch.from_numpy(image)).logits[0].argmax(dim=0)
    colors: Array = config.label_set.palette[mask.byte().numpy()]
    return colors


def row(frame: LabeledFrame, shown: Sequence[Shown], config: CekdConfig) -> Array:
    """Color, heat, labels and what each network says, side by side, uint8 [h, w, 3] RGB."""
    size = config.image_size
    heat, _ = network_image(frame, 'thermal', size)
    colors = config.label_set.palette[np.asarray(frame.label)]
    tiles = [
        np.asarray(frame.rgb),
        gray_picture(heat[0, 0]),
        colors,
        *(mask_of(each.network, frame, config) for each in shown),
    ]
    return beside([sized(tile, (size[0] * _ZOOM, size[1] * _ZOOM)) for tile in tiles])


def picture(frames: Sequence[LabeledFrame], shown: Sequence[Shown], config: CekdConfig) -> Array:
    """All rows under their header, uint8 [height, width, 3] RGB.

    Args:
        frames: with both images and labels.
        shown: networks.
        config: of a run of theirs: they have one input size and one label set.
    """
    names = ['color', 'heat', 'labels', *(each.name.replace('_', ' ') for each in shown)]
    rows = below([row(frame, shown, config) for frame in frames])
    return np.vstack([header(names, config.image_size[1] * _ZOOM), rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and write; further arguments change the configurations."""
    parser = argparse.ArgumentParser(description='Draw what the networks of CEKD say.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--networks', nargs='+', required=True, help='run:role')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    own, rest = parser.parse_known_args(arguments)
    config = _config(own.networks[0].partition(':')[0], own.seed, rest)
    test = scored_splits(config, names=('test',))['test']
    shown = load_shown(own.networks, own.seed, rest)
    image = picture([test[k] for k in own.frames], shown, config)
    own.file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(own.file), image[..., ::-1])


if __name__ == '__main__':
    main()
