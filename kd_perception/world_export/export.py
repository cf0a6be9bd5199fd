# SPDX-License-Identifier: Apache-2.0
"""Render a plan in several processes and put the finished folder in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kd_perception.errors import ConfigError
from kd_perception.world import WorldConfig
from kd_perception.world_export.layout import Layout
from kd_perception.world_export.layouts import LAYOUTS
from kd_perception.world_export.plan import ExportPlan, Job
from kd_perception.world_export.provenance import write_provenance
from kd_perception.world_export.render_pool import MAX_WORKERS, default_workers, in_order
from kd_perception.world_export.rendering import rendered
from kd_perception.world_export.staging import staged_folder


@dataclass(frozen=True)
class _Task:
    """What a rendering process is told."""

    layout: str
    folder: Path
    config: WorldConfig
    job: Job


def export_world(
    plan: ExportPlan, *, workers: int = 0, overwrite: bool = False, progress: bool = False
) -> int:
    """Write an export; it appears at its path only when it is complete.

    Args:
        plan: What to write.
        workers: Processes; 0 takes one per core, at most 8. The bytes do not depend on it.
        overwrite: Replace an older export.
        progress: Show a progress bar on standard error.

    Returns:
        Number of rendered frames.

    Raises:
        ConfigError: The layout or its splits are unknown, or the number of workers.
        DatasetError: The path is taken.
        RenderError: A rendering process was killed.
        OSError: The folder cannot be written.
    """
    layout = _layout(plan)
    if not 0 <= workers <= MAX_WORKERS:
        raise ConfigError(f'the workers must be 0 to {MAX_WORKERS}; received {workers}')
    jobs = layout.jobs(plan)
    with staged_folder(plan.out, overwrite=overwrite) as folder:
        configs = {split: plan.world_config(split) for split in plan.splits}
        tasks = [_Task(plan.layout, folder, configs[job.split], job) for job in jobs]
        with (
            in_order(_write, tasks, workers=workers or default_workers(len(tasks))) as written,
            closing(tqdm(total=len(jobs), unit='frame', disable=not progress, leave=False)) as bar,
        ):
            layout.finish(folder, plan, _counted(zip(jobs, written, strict=True), bar))
        write_provenance(folder, plan, layout)
    return len(jobs)


def _layout(plan: ExportPlan) -> Layout:
    if plan.layout not in LAYOUTS:
        raise ConfigError(
            f'the layout must be one of {", ".join(LAYOUTS)}; received {plan.layout!r}'
        )
    layout = LAYOUTS[plan.layout]
    if set(plan.splits) - set(layout.splits):
        raise ConfigError(
            f'the splits of {plan.layout} are {", ".join(layout.splits)}; received '
            f'{", ".join(plan.splits)}'
        )
    return layout


def _write(task: _Task) -> Any:
    """Render and write one frame, in a rendering process."""
    frame = rendered(task.config, task.job)
    return LAYOUTS[task.layout].write(task.folder, task.job, frame)


def _counted(results: Iterator[tuple[Job, Any]], bar: tqdm[Any]) -> Iterator[tuple[Job, Any]]:
    for result in results:
        yield result
        bar.update()
