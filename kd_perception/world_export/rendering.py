# SPDX-License-Identifier: Apache-2.0
"""From a plan to jobs, and from a job to its frame."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kd_perception.world import WorldConfig, WorldFrame, render_frame
from kd_perception.world.render import drive_frame
from kd_perception.world.splits import split_seed
from kd_perception.world.streets.drive import Drive
from kd_perception.world.streets.still import Still
from kd_perception.world_export.plan import MAX_DEPTH_M, MAX_FRAMES, ExportPlan, Job


def rendered(config: WorldConfig, job: Job) -> WorldFrame:
    """Render the frame of a job: always the same, in any process."""
    if job.time_s is None:
        return render_frame(config, job.seed, job.index, job.views)
    return drive_frame(opened_drive(config, job.seed), job.time_s, job.views)


@lru_cache(maxsize=2)
def opened_drive(config: WorldConfig, seed: int) -> Drive:
    """A drive of this process, drawn once as long as its frames follow one another."""
    return Drive(config, seed)


def is_night(config: WorldConfig, job: Job) -> bool:
    """Tell whether the frame of a job that stands alone is one of the night."""
    return Still(config, job.seed, job.index).climate.night


def single_frames(plan: ExportPlan, views: tuple[str, ...]) -> list[Job]:
    """Jobs of a data set whose frames have nothing in common."""
    return [
        Job(split, split_seed(split, plan.seed), index, split, number, views)
        for number, (split, index) in enumerate(numbered(plan), start=1)
    ]


def numbered(plan: ExportPlan) -> Iterator[tuple[str, int]]:
    """Iterate over (split, number in the split from 0) of all labeled frames."""
    for split, count in plan.splits.items():
        for index in range(count):
            yield split, index


def drive_seed(split: str, seed: int, drive: int) -> int:
    """Return the seed of one of the many drives of a split; no two drives have the same.

    Args:
        split: Of the world.
        seed: Of the export.
        drive: Number in the split, below `MAX_FRAMES`.
    """
    return split_seed(split, seed * MAX_FRAMES + drive)


def known_depth_m(frame: WorldFrame) -> npt.NDArray[np.float32]:
    """Return the depth [m], 0 on sky and where the world cuts it."""
    return np.where(frame.depth_m < MAX_DEPTH_M, frame.depth_m, np.float32(0.0))
