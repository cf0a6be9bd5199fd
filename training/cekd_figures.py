# SPDX-License-Identifier: Apache-2.0
"""A picture of what the networks of CEKD say about frames of the test split.

    python -m training.cekd_figures --file docs/images/cekd_predictions.png \
        --networks full:teacher few_labels:student full:student all_labels:student
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
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_networks import Student
from training.recipes.cekd_report import scored_splits
from training.recipes.cekd_trained import ROLES, trained_network
from training.settings import load_config

Array = npt.NDArray[Any]

CONFIGS = Path(__file__).parent / 'configs' / 'cekd'
_HEADER_PX = 20
_GAP_PX = 4
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
        ConfigError: a name is of another form, or the run is not trained.
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
    path = CONFIGS / f'{run}.yaml'
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
    gray = (heat[0, 0, :, :, None] * 255.0).astype(np.uint8).repeat(3, axis=2)
    colors = config.label_set.palette[np.asarray(frame.label)]
    tiles = [
        np.asarray(frame.rgb),
        gray,
        colors,
        *(mask_of(each.network, frame, config) for each in shown),
    ]
    width, height = size[1] * _ZOOM, size[0] * _ZOOM
    gap = np.full((height, _GAP_PX, 3), 255, np.uint8)
    parts: list[Array] = []
    for tile in tiles:
        parts += [cv2.resize(tile, (width, height), interpolation=cv2.INTER_NEAREST), gap]
    return np.hstack(parts[:-1])


def header(names: Sequence[str], width: int) -> Array:
    """The names of the columns over their tiles, uint8 [h, w, 3]."""
    image = np.full((_HEADER_PX, len(names) * (width + _GAP_PX) - _GAP_PX, 3), 255, np.uint8)
    for k, name in enumerate(names):
        place = (k * (width + _GAP_PX) + 2, _HEADER_PX - 6)
        cv2.putText(image, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0,) * 3, 1, cv2.LINE_AA)
    return image


def picture(frames: Sequence[LabeledFrame], shown: Sequence[Shown], config: CekdConfig) -> Array:
    """All rows under their header, uint8 [height, width, 3] RGB.

    Args:
        frames: with both images and labels.
        shown: networks.
        config: of a run of theirs: they have one input size and one label set.
    """
    names = ['color', 'heat', 'labels', *(each.name.replace('_', ' ') for each in shown)]
    rows = [header(names, config.image_size[1] * _ZOOM)]
    for frame in frames:
        rows += [row(frame, shown, config)]
        rows += [np.full((_GAP_PX, rows[0].shape[1], 3), 255, np.uint8)]
    return np.vstack(rows[:-1])


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
