# SPDX-License-Identifier: Apache-2.0
"""The latency tables of README.md, written from the committed records.

python -m benchmarks.readme_tables
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kd_perception.bench.table import machine_line, stack_table
from kd_perception.markdown import replace_section, table

ROOT = Path(__file__).resolve().parent.parent
FRAMES = ROOT / 'results' / 'latency' / 'students.jsonl'
COLOR_FRAMES = ROOT / 'results' / 'latency' / 'color_students.jsonl'
NODE = ROOT / 'results' / 'node_latency' / 'thermal_seg_s.jsonl'


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]


def frame_section(rows: list[dict[str, Any]]) -> str:
    """What the machine was, and whole frames: of the first student under every load, then idle."""
    names = [row['student'] for row in rows if row['row'] == 'student']
    loads = sorted({row['busy_processes'] for row in rows if row['row'] == 'stack'})
    shown = [(names[0], load) for load in loads] + [(name, loads[0]) for name in names[1:]]
    parts = [f'Machine: {machine_line(rows)}.']
    for student, load in shown:
        title = f'beside {load} busy processes' if load else 'idle'
        parts += [f'`{student}`, {title}, median [ms]:', stack_table(rows, student, load)]
    return '\n\n'.join(parts)


def node_section(rows: list[dict[str, Any]]) -> str:
    """The live node at a fixed rate and at its largest."""
    head = ['', 'network', 'received', 'published', 'dropped', 'failed', 'answers per second',
            'stamp to receipt p50 / p90 / p99 / max [ms]', 'in the node, without queue [ms]',
            'node, of one core']  # fmt: skip
    body = []
    for row in rows:
        latency = ' / '.join(f'{row["latency_ms"][k]:.1f}' for k in ('p50', 'p90', 'p99', 'max'))
        stages = sum(value for name, value in row['node_stage_p50_ms'].items() if name != 'queue')
        counts = [str(row[name]) for name in ('received', 'published', 'dropped', 'failed')]
        rate, share = f'{row["answers_hz"]:.1f}', f'{row["cpu_share"]["node"]:.0%}'
        model = row['model'].partition(' on ')[2].partition(',')[0]
        body.append([row['row'], model, *counts, rate, latency, f'{stages:.1f}', share])
    return table(head, body, right=True)


def page(text: str) -> str:
    """README.md with all sections."""
    text = replace_section(text, 'frame latency', frame_section(rows_of(FRAMES)))
    text = replace_section(text, 'color latency', frame_section(rows_of(COLOR_FRAMES)))
    return replace_section(text, 'node latency', node_section(rows_of(NODE)))


def main() -> None:
    readme = ROOT / 'README.md'
    readme.write_text(page(readme.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main()
