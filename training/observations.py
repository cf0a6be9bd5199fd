# SPDX-License-Identifier: Apache-2.0
"""What was seen of a run on real frames, for its model card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

OBSERVATIONS = Path(__file__).parent / 'configs' / 'observations'

NOT_SEEN = 'Not looked at yet: nobody has noted what this run makes of real frames.'


class Run(Protocol):
    """Settings of a run."""

    @property
    def name(self) -> str:
        """Name of the student."""

    @property
    def seed(self) -> int:
        """Seed of the run."""

    def fingerprint(self) -> str:
        """Hash of all settings that shape the run."""


def observations_path(run: Run, frames: str) -> Path:
    """Where to write, in Markdown, what was seen of a run on real frames, before its export.

    The name holds a hash of the run's settings and of the frames it learnt from: a run of the same
    name that is trained anew in another world does not claim what was seen of this one.

    Args:
        run: its settings.
        frames: digest or key of the frames it learnt from, as its record has it; empty if none.
    """
    digest = hashlib.sha256(f'{run.fingerprint()} {frames}'.encode()).hexdigest()[:16]
    return OBSERVATIONS / f'{run.name}_seed{run.seed}_{digest}.md'


def observations(run: Run, frames: str) -> str:
    """What was written there, or that nobody has looked yet."""
    path = observations_path(run, frames)
    return path.read_text(encoding='utf-8').strip() if path.is_file() else NOT_SEEN


def remind_of_observations(run: Run, frames: str) -> None:
    """Say where to write them, if nobody has yet."""
    if not (path := observations_path(run, frames)).is_file():
        print(f'nothing was noted of real frames yet: write it to {path} and export again')
