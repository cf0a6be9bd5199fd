# SPDX-License-Identifier: Apache-2.0
"""What a run carries from step to step, and how its checkpoint holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kd_perception.errors import KdPerceptionError
from training.checkpointing import load_checkpoint, save_checkpoint


class NotFiniteError(KdPerceptionError):
    """A loss or a weight is no longer a finite number: the run has diverged."""


@dataclass
class Run:
    """What a run carries from step to step, and its checkpoint holds.

    Args:
        network: that learns, in the mode in which it shall. What learns together is one module:
            two students, or a student and the adapters of its features.
        average: of its weights and statistics over the steps, None for none.
        optimizer: of the network's parameters.
        step: finished steps.
        seconds: spent in steps, by the first process.
        notes: of the recipe, numbers, text, and dicts and lists of these; of the first process.
    """

    network: nn.Module
    average: nn.Module | None
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


_STATEFUL = ('network', 'average', 'optimizer')
_PLAIN = ('step', 'seconds', 'notes')


def restore(run: Run, folder: Path, fingerprint: str) -> bool:
    """Load the latest checkpoint of a folder into a run, wherever it was written.

    Args:
        run: newly built; changed in place.
        folder: of the run.
        fingerprint: of the configuration.

    Returns:
        Whether there was one.

    Raises:
        ConfigError: the checkpoint is of another configuration.
    """
    state = load_checkpoint(folder, fingerprint=fingerprint)
    if state is None:
        return False
    for name in _STATEFUL:
        if (part := getattr(run, name)) is not None:
            part.load_state_dict(state[name])
    for name in _PLAIN:
        setattr(run, name, state[name])
    return True


def save(run: Run, folder: Path, fingerprint: str) -> None:
    """Replace the checkpoint of a folder, in one process."""
    state: dict[str, Any] = {name: getattr(run, name) for name in _PLAIN}
    for name in _STATEFUL:
        part = getattr(run, name)
        state[name] = None if part is None else part.state_dict()
    save_checkpoint(folder, {**state, 'fingerprint': fingerprint})


def check_weights(run: Run) -> None:
    """Refuse to go on with, or to keep, weights and statistics that are no numbers.

    Raises:
        NotFiniteError: one is not finite.
    """
    for name, value in run.network.state_dict().items():
        if not torch.isfinite(value).all():
            raise NotFiniteError(
                f'every weight must be finite, {name} is not after step {run.step - 1}: lower '
                'learning_rate; the checkpoint before is kept'
            )
