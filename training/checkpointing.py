# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are either whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kd_perception.errors import ConfigError
from kd_perception.files import unfinished_files, write_atomically

LATEST = 'latest.pt'


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the latest checkpoint by `state`; a kill at any moment leaves the old or the new.

    Args:
        folder: of the run, which one process at a time may write; made if absent.
        state: tensors, numbers, text, and dicts and lists of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in unfinished_files(folder / LATEST):  # a run of this folder was killed
        left.unlink(missing_ok=True)
    write_atomically(folder / LATEST, partial(torch.save, dict(state)))


def load_checkpoint(folder: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """The latest checkpoint of a run, in CPU memory; None where there is none.

    Args:
        folder: of the run.
        fingerprint: of the configuration that goes on.

    Raises:
        ConfigError: the checkpoint is of another configuration.
    """
    path = folder / LATEST
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
    if state['fingerprint'] != fingerprint:
        raise ConfigError(
            f'the checkpoint in {folder} must be of the same configuration; it is of another '
            'one: choose another output folder or remove it'
        )
    return state


def averaged_weights(folder: Path) -> dict[str, Any]:
    """The averaged weights of the latest checkpoint of any run, to start another one from.

    Raises:
        ConfigError: there is none, or the run keeps no average.
    """
    path = folder / LATEST
    if not path.exists():
        raise ConfigError(f'{folder} must hold the checkpoint of a run, {LATEST}: train it first')
    average: dict[str, Any] | None = torch.load(path, map_location='cpu', weights_only=True)[
        'average'
    ]
    if average is None:
        raise ConfigError(f'the run in {folder} must keep an average of its weights')
    return average
