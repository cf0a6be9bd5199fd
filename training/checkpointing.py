# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kd_perception.errors import ConfigError

LATEST = 'latest.pt'


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the latest checkpoint by `state`; a kill at any moment leaves the old or the new.

    Args:
        folder: of the run; made if absent.
        state: tensors, numbers, text, and dicts and lists of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, folder / LATEST)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_checkpoint(folder: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """The latest checkpoint of a run, None where there is none.

    Args:
        folder: of the run.
        fingerprint: of the configuration that goes on.

    Raises:
        ConfigError: the checkpoint is of another configuration.
    """
    path = folder / LATEST
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state['fingerprint'] != fingerprint:
        raise ConfigError(
            f'the checkpoint in {folder} must be of the same configuration; it is of another '
            'one: choose another output folder or remove it'
        )
    return state
