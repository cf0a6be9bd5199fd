# SPDX-License-Identifier: Apache-2.0
"""The tables of what each distillation loss costs, from the lines of the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_perception.markdown import table


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a benchmark; none where there is no file."""
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def cost_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """What each loss costs, from the lines of `benchmarks.distillation_losses`."""
    rows = [line for line in lines if 'loss' in line]
    shapes = list(dict.fromkeys(row['shape'] for row in rows))
    body = []
    for loss in dict.fromkeys(row['loss'] for row in rows):
        found = {row['shape']: row for row in rows if row['loss'] == loss}
        body.append([f'`{loss}`', *(_cost(found.get(shape)) for shape in shapes)])
    return table(['loss', *shapes], body, right=True)


def steps_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """What a training step of each row costs, from lines of `benchmarks.distillation_steps`."""
    rows = [line for line in lines if 'run' in line]
    body = [[f'`{row["run"]}`', f'{row["ms"]:.0f}', f'{row["times_first"]:.2f}'] for row in rows]
    return table(['run', 'ms', f'times {rows[0]["run"]}'], body, right=True)


def _cost(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return '-'
    if row.get('ms') is None:
        return f'not run: needs {row["needs_gib"]} GiB'
    return f'{row["ms"]:.1f} ms ({row["times_cross_entropy"]:.1f}), {row["peak_mib"]:.0f} MiB'
