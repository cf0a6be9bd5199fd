# SPDX-License-Identifier: Apache-2.0
"""What the stages of CEKD learnt from, kept in their checkpoints: the world, and the recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.checkpointing import load_checkpoint
from training.data.world import check_described
from training.recipes.cekd_config import CekdConfig
from training.recipes.recorded_pairs import check_pairs, described_pairs


def notes_of(config: CekdConfig, stage: str) -> dict[str, Any]:
    """Notes of a stage that begins.

    A student of a recording notes the world as well, which its teacher has learnt from.

    Args:
        config: of the run.
        stage: `teacher`, `student` or `joint`.

    Returns:
        `frames` with their key where they are rendered, `recording` as `described_pairs` has it.
    """
    notes: dict[str, Any] = {}
    if config.rendered:
        notes['frames'] = {'key': config.train.key()}
    if config.bag and stage == 'student':
        notes['recording'] = described_pairs(config.recorded_pairs, config.cache)
    return notes


def check_notes(notes: Mapping[str, Any], config: CekdConfig, folder: Path) -> None:
    """Refuse to go on from a checkpoint of another world or of another recording.

    Args:
        notes: of the checkpoint; what they do not tell, as those of older runs, is not checked.
        config: of the run.
        folder: of the checkpoint.

    Raises:
        BagError: the recording is not there.
        ConfigError: the code of the world, the recording or the code that reads it has changed.
    """
    if config.rendered:
        check_described(notes.get('frames', {}), config.train, folder)
    if recording := notes.get('recording'):
        check_pairs(recording, config.recorded_pairs, config.cache, folder)


def recording_of(config: CekdConfig) -> dict[str, Any]:
    """The recording that the student of a run has learnt from, as its checkpoint tells it.

    Returns:
        As `described_pairs` has it; empty without a recording.
    """
    if not config.bag or config.stage != 'student':
        return {}
    state = load_checkpoint(config.folder, fingerprint=config.fingerprint())
    found: dict[str, Any] = state['notes'].get('recording', {}) if state else {}
    return found
