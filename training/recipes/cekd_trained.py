# SPDX-License-Identifier: Apache-2.0
"""The networks of a CEKD run that was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.models import CENet
from training.checkpointing import load_checkpoint
from training.data.world import check_described
from training.recipes.cekd_config import CekdConfig
from training.recipes.cekd_networks import Student, new_student

ROLES = ('teacher', 'student')


def _is_shared(config: CekdConfig, role: str) -> bool:
    """Whether it is a teacher that runs share; a joint run has both networks in one checkpoint."""
    return role == 'teacher' and config.stage != 'joint'


def fingerprint_of(config: CekdConfig, role: str) -> str:
    """Of everything that changes the weights of a role's network."""
    own = _is_shared(config, role)
    return config.teacher_fingerprint() if own else config.fingerprint()


def steps_of(config: CekdConfig, role: str) -> int:
    """Steps that the network of a role is trained for; a joint run has those of its student."""
    part = config.teacher if _is_shared(config, role) else config.student
    return part.loop.steps


def trained_network(config: CekdConfig, role: str) -> tuple[CENet | Student, int]:
    """A network of the latest checkpoint in eval mode, and its step.

    Args:
        config: of the run; the networks of a joint run are in one checkpoint.
        role: `teacher` or `student`.

    Raises:
        ConfigError: there is no checkpoint, or it is of other settings or another world.
    """
    folder = config.teacher_folder if _is_shared(config, role) else config.folder
    state = _checkpoint(folder, fingerprint_of(config, role))
    if config.rendered:
        check_described(state['notes'].get('frames', {}), config.train, folder)
    weights: dict[str, Any] = state['average'] or state['network']
    if config.stage == 'joint':
        prefix = f'{role}.'
        weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    network: CENet | Student
    if role == 'teacher':
        network = CENet(config.teacher_network())
    else:
        network = new_student(config.student_network())
    network.load_state_dict(weights)
    return network.eval(), int(state['step'])


def _checkpoint(folder: Path, fingerprint: str) -> dict[str, Any]:
    state = load_checkpoint(folder, fingerprint=fingerprint)
    if state is None:
        raise ConfigError(f'{folder} must hold a checkpoint: train this run first')
    return state
