# SPDX-License-Identifier: Apache-2.0
"""Weights that a run takes over from an earlier run of the same network, or of its like."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kd_perception.errors import ConfigError
from training.checkpointing import averaged_weights

_OUTPUTS = 'head.'


def folder_of_seed(folder: str, seed: int) -> str:
    """The folder with the run's seed in the place of `{seed}`; empty stays empty."""
    return folder.replace('{seed}', str(seed))


def take_over(network: nn.Module, folder: str) -> None:
    """Load the averaged weights of the run in a folder; do nothing where there is no folder.

    A head with another number of outputs, as that of classes is for depth, starts anew.

    Args:
        network: of the same shape as the one that was trained there, but for the outputs.
        folder: of its checkpoints, or empty.

    Raises:
        ConfigError: there is no checkpoint, or it is of another network.
    """
    if not folder:
        return
    weights, own = averaged_weights(Path(folder)), network.state_dict()
    others = [
        name
        for name in weights.keys() | own.keys()
        if name not in weights or name not in own or weights[name].shape != own[name].shape
    ]
    if any(not name.startswith(_OUTPUTS) for name in others):
        raise ConfigError(
            f'the run in {folder} must be of the same network but for its outputs; it differs in '
            f'{", ".join(sorted(others)[:4])}'
        )
    network.load_state_dict(own | {k: v for k, v in weights.items() if k not in others})


def card_row(folder: str) -> str:
    """The line of a model card's table that says so; nothing where there is no folder."""
    return f'| Started from | averaged weights of the run in `{folder}` |\n' if folder else ''
