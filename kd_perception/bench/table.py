# SPDX-License-Identifier: Apache-2.0
"""Rows of the benchmark as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kd_perception.markdown import table

Row = Mapping[str, Any]


def tables(rows: Iterable[Row]) -> str:
    """All tables in Markdown: the machine, then per student its backends and its stacks."""
    rows = list(rows)
    parts = [machine_line(rows), *_peaks_lines(rows)]
    for student in _of(rows, 'student'):
        name = student['student']
        parts += ['', f'### {name}', '', _student_line(student), '']
        parts += [backend_table(rows, name), '']
        loads = sorted({row['busy_processes'] for row in _of(rows, 'stack', name)})
        for load in loads:
            title = f'{load} other processes busy' if load else 'idle'
            parts += [f'Whole frame, {title} [ms]:', '', stack_table(rows, name, load), '']
    return '\n'.join(parts).rstrip() + '\n'


def machine_line(rows: Sequence[Row]) -> str:
    """The machine in one line: cores, threads, instruction sets, versions."""
    machine = _of(rows, 'machine')[0]
    versions = ', '.join(f'{name} {text}' for name, text in machine['versions'].items())
    return (
        f'{machine["cores"]} cores, {machine["threads"]} threads, {" ".join(machine["flags"])}; '
        f'load average {machine["load_average"]}; {versions}'
    )


def _peaks_lines(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in _of(rows, 'peaks'):
        products = ', '.join(f'{name} {value:.0f}' for name, value in row['gops'].items())
        lines.append(
            f'Peaks {row["when"]}: matrix products {products} Gop/s; memory '
            f'{row["dram_gb_s"]:.0f} GB/s, in cache {row["cache_gb_s"]:.0f} GB/s'
        )
    for row in _of(rows, 'drift'):
        lines.append(
            f'WARNING: the machine was not left alone ({", ".join(row["changed"])} changed by '
            'more than 20 %): ratios hold better than times'
        )
    return lines


def _student_line(row: Row) -> str:
    roofline = ', '.join(f'{name} {value:.1f}' for name, value in row['roofline_ms'].items())
    return (
        f'{row["parameters"] / 1e6:.2f} M weights, {row["gmac"]:.2f} GMAC, '
        f'{row["convolution_values"] / 1e6:.1f} M values moved by convolutions; least time at '
        f'the peaks [ms]: {roofline}'
    )


_DIFFERENCES: tuple[dict[str, tuple[str, str]], ...] = (
    {
        'logits': ('logits', '.1e'),
        'labels': ('labels %', '.3%'),
        'uncertainty': ('uncertainty', '.1e'),
    },
    {
        'abs_rel': ('depth %', '.3%'),
        'abs_rel_p99': ('99 of 100 %', '.3%'),
        'log_sigma': ('sigma %', '.3%'),
    },
)
"""Title and format of what is told of a difference, for each kind of student."""


def backend_table(rows: Sequence[Row], student: str) -> str:
    """What a backend needs to start, and how far it is from the reference."""
    backends = _of(rows, 'backend', student)
    known = {key for row in backends for key in row.get('difference', ())}
    told = next((kind for kind in _DIFFERENCES if known >= kind.keys()), {})
    lines = [
        [
            f'{row["backend"]} {row["precision"]}',
            f'{row["build_s"]:.1f}',
            f'{row["first_frame_ms"]:.0f}',
            f'{row["peak_mib"]}',
            *_difference_cells(row, told),
        ]
        for row in backends
    ]
    titles = [title for title, _ in told.values()]
    head = ['backend', 'start s', 'first frame ms', 'memory MiB', *titles, 'gate']
    return table(head, lines, right=True)


def _difference_cells(row: Row, told: Mapping[str, tuple[str, str]]) -> list[str]:
    if 'difference' not in row:
        return ['' for _ in told] + ['reference']
    cells = [format(row['difference'][key], style).rstrip('%') for key, (_, style) in told.items()]
    return [*cells, 'passes' if row['passes'] else 'FAILS']


def stack_table(rows: Sequence[Row], student: str, load: int) -> str:
    """Stages and the whole frame of every stack under one load."""
    lines = []
    for row in _of(rows, 'stack', student):
        if row['busy_processes'] != load:
            continue
        stages = row['stages_ms']
        whole = stages['whole']
        ratios = row['times_faster_than']
        lines.append(
            [
                row['what'] if len(row['stack']) > 1 else f'{row["stack"]}: {row["what"]}',
                *(
                    f'{stages[name]["median"]:.1f}'
                    for name in ('preprocess', 'network', 'postprocess', 'pack')
                ),
                f'**{whole["median"]:.1f}**',
                *(f'{whole[name]:.1f}' for name in ('p90', 'p99', 'max')),
                *(f'{ratios[name]:.1f}' if name in ratios else '' for name in ('A', 'C')),
                f'{row["network_over_roofline"]:.1f}' if 'network_over_roofline' in row else '',
            ]
        )
    head = ['stack', 'pre', 'network', 'post', 'pack', 'whole', 'p90', 'p99', 'max',
            'times A', 'times C', 'network / roofline']  # fmt: skip
    return table(head, lines, right=True)


def _of(rows: Iterable[Row], kind: str, student: str | None = None) -> list[Row]:
    return [row for row in rows if row['row'] == kind and student in (None, row.get('student'))]
