# SPDX-License-Identifier: Apache-2.0
"""What a layout is: jobs, how a frame becomes files, and what binds the files together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_perception.world import WorldFrame
from kd_perception.world_export.plan import ExportPlan, Job

Written = tuple[Job, Any]
"""A job, and what writing its frame gave."""


@dataclass(frozen=True)
class Layout:
    """How one kind of data set is made.

    Attributes:
        title: For the README.
        splits: That it has, the one to train on first.
        jobs: Gives all frames of a plan in order.
        write: Writes the files of a frame below a folder. Called in several processes, each frame
            once, in any order; what it returns goes to `finish`.
        finish: Called once, in this process, with the results in order; must read all of them.
        notes: What a user must know of the content: which class became which, what is missing.
    """

    title: str
    splits: tuple[str, ...]
    jobs: Callable[[ExportPlan], list[Job]]
    write: Callable[[Path, Job, WorldFrame], Any]
    finish: Callable[[Path, ExportPlan, Iterator[Written]], None]
    notes: str


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
