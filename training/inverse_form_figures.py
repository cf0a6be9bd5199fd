# SPDX-License-Identifier: Apache-2.0
"""A picture of the boundaries that students see with InverseForm and without it.

    python -m training.inverse_form_figures --file docs/images/inverse_form_boundaries.png \
        --runs none boundary full

Each row is a frame of the test split: what the camera shows, the true boundaries, and for each run
the boundaries between the classes that it says, red where there is no true one within two pixels,
blue where a true one is missed.
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
from torch import nn

from kd_perception.errors import ConfigError
from training.data.modality import LabeledFrame, network_image
from training.losses import edge_labels
from training.pictures import below, beside, gray_picture, header, sized
from training.recipes.inverse_form import build, class_weight, deployable_network
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_report import scored_splits
from training.settings import config_file, load_config

Array = npt.NDArray[Any]

CONFIGS = Path(__file__).parent / 'configs' / 'inverse_form'
_ZOOM = 2
_NEAR_PX = 2
_RIGHT, _FALSE, _MISSED = (255, 255, 255), (235, 60, 50), (70, 130, 255)


class Shown(NamedTuple):
    """A network, its run and the configuration of it."""

    name: str
    network: nn.Module
    config: InverseFormConfig


def load_shown(names: Sequence[str], seed: int, changes: Sequence[str] = ()) -> list[Shown]:
    """Trained networks by the names of their runs.

    Args:
        names: files of `training/configs/inverse_form` without their ending.
        seed: of the runs.
        changes: further arguments of the configurations.

    Raises:
        ConfigError: there is no such file, or a run is not trained.
    """
    shown = []
    for name in names:
        path = config_file(CONFIGS, name)
        config = load_config(
            InverseFormConfig, ['--config_path', str(path), '--seed', str(seed), *changes]
        )
        run = build(config)
        if not run.step:
            raise ConfigError(f'{config.folder} must hold a checkpoint: train this run first')
        network = deployable_network(run, config, class_weight(config))
        shown.append(Shown(name, network, config))
    return shown


def outlines(mask: Array) -> Array:
    """Pixels whose neighbor is of another class, bool [height, width]."""
    found: Array = edge_labels(torch.from_numpy(mask.astype(np.int64))[None], radius=1.0)[
        0
    ].numpy()
    return found == 1


def compared(found: Array, true: Array) -> Array:
    """Found and true outlines in colors on black, uint8 [height, width, 3]."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR_PX + 1,) * 2)
    near_true, near_found = (
        cv2.dilate(each.astype(np.uint8), disk).astype(bool) for each in (true, found)
    )
    picture = np.zeros((*found.shape, 3), np.uint8)
    picture[true & ~near_found] = _MISSED
    picture[found & ~near_true] = _FALSE
    picture[found & near_true] = _RIGHT
    return picture


@torch.no_grad()
def mask_of(shown: Shown, frame: LabeledFrame) -> Array:
    """The classes that a network says, uint8 [height, width] of its input."""
    config = shown.config
    image, _ = network_image(frame, config.modality, config.image_size)
    logits = shown.network(torch.from_numpy(image))
    scaled = nn.functional.interpolate(
        logits, config.image_size, mode='bilinear', align_corners=False
    )
    mask: Array = scaled[0].argmax(dim=0).byte().numpy()
    return mask


def row(frame: LabeledFrame, shown: Sequence[Shown]) -> Array:
    """What the camera shows, true outlines, and those of each run, side by side."""
    config = shown[0].config
    size = config.image_size
    image, _ = network_image(frame, config.modality, size)
    label = cv2.resize(np.asarray(frame.label), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    true = outlines(label)
    tiles = [gray_picture(image[0, 0]), compared(true, true)]
    tiles += [compared(outlines(mask_of(each, frame)), true) for each in shown]
    return beside([sized(tile, (size[0] * _ZOOM, size[1] * _ZOOM)) for tile in tiles])


def picture(frames: Sequence[LabeledFrame], shown: Sequence[Shown]) -> Array:
    """All rows under their header, uint8 [height, width, 3] RGB.

    Args:
        frames: with labels.
        shown: networks with one input size.
    """
    names = ['camera', 'true', *(each.name.replace('_', ' ') for each in shown)]
    rows = below([row(frame, shown) for frame in frames])
    return np.vstack([header(names, shown[0].config.image_size[1] * _ZOOM), rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and write; further arguments change the configurations."""
    parser = argparse.ArgumentParser(description='Draw the boundaries that students see.')
    parser.add_argument('--file', type=Path, required=True)
    parser.add_argument('--runs', nargs='+', required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--frames', type=int, nargs='+', default=[0, 1, 2, 3])
    own, rest = parser.parse_known_args(arguments)
    shown = load_shown(own.runs, own.seed, rest)
    test = scored_splits(shown[0].config, names=('test',))['test']
    image = picture([test[k] for k in own.frames], shown)
    own.file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(own.file), image[..., ::-1])


if __name__ == '__main__':
    main()
