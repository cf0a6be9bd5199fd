# SPDX-License-Identifier: Apache-2.0
"""Weights that a run takes over from an earlier run of the same network."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from training.checkpointing import averaged_weights


def folder_of_seed(folder: str, seed: int) -> str:
    """The folder with the run's seed in the place of `{seed}`; empty stays empty."""
    return folder.replace('{seed}', str(seed))


def take_over(network: nn.Module, folder: str) -> None:
    """Load the averaged weights of the run in a folder; do nothing where there is no folder.

    Args:
        network: of the same shape as the one that was trained there.
        folder: of its checkpoints, or empty.

    Raises:
        ConfigError: there is no finished checkpoint.
    """
    if folder:
        network.load_state_dict(averaged_weights(Path(folder)))


def card_row(folder: str) -> str:
    """The line of a model card's table that says so; nothing where there is no folder."""
    return f'| Started from | averaged weights of the run in `{folder}` |\n' if folder else ''
