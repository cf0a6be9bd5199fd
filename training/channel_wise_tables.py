# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/channel_wise.md, from the records of the runs.

python -m training.channel_wise_tables
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_perception.markdown import percent, replace_section, table
from training.cekd_tables import Runs, classes_table, metric, read_runs, spread
from training.records import read_record

ALONE = 'alone'
METHODS = {
    'at': ('AT', 'no', 'h w c^p'),
    'pi': ('PI', 'no', 'h w c'),
    'local': ('LOCAL', 'yes', '8 h w c'),
    'pa': ('PA', 'yes', '(h w)² c'),
    'ifvd': ('IFVD', 'yes', 'h w c n'),
    'ho': ('HO', 'yes', 'of the discriminator'),
    'cwd': ('CWD', 'yes', 'h w c'),
}
"""Rows of the paper's table: title, whether structure is seen, operations."""

PLACES = ('features', 'logits')
ROWS = (ALONE, *(f'{short}_{place}' for short in METHODS for place in PLACES))
OTHERS = (
    *('cwd_both', 'cwd_features_bare', 'cekd', 'thermal_teacher_cwd_logits'),
    *(f'cwd_{place}_t{temperature}' for place in PLACES for temperature in (1, 2, 8)),
)
"""Questions beyond the paper's table; rows of their own."""

LONG = ('alone_long', 'cwd_logits_long', 'cwd_features_long')
"""The same for longer, compared among themselves."""

COLUMNS = {
    'miou_nanmean': 'mIoU',
    'miou_frequent': 'frequent',
    'miou_rare': 'rare',
    'macc_nanmean': 'mAcc',
    'boundary_f_3px': 'F 3 px',
}
GAINS = ('miou_nanmean', 'miou_frequent', 'miou_rare')

_ROLE = 'student'


def gains(runs: Runs, name: str, column: str, *, against: str) -> list[float]:
    """What a run has more than another on the test split, in points, one per common seed."""
    own, other = runs.get(name, {}), runs.get(against, {})
    return [
        metric(own[seed], _ROLE, 'test', column) - metric(other[seed], _ROLE, 'test', column)
        for seed in sorted(own.keys() & other.keys())
    ]


def signed(values: Sequence[float]) -> str:
    """Mean and spread with a sign in front; empty without values."""
    text = spread(values) if values else ''
    return f'+{text}' if text and text[0] not in '-+' else text


def main_table(runs: Runs) -> str:
    """The paper's table: methods by row, features and logits by column."""
    head = ['method', 'structural', 'operations', 'features', 'gain', 'logits', 'gain']
    body = [
        ['teacher', '', '', *_twice(_scores(runs, 'teacher', 'teacher'))],
        ['student alone', '', '', *_twice(_scores(runs, ALONE, _ROLE))],
    ]
    for short, titles in METHODS.items():
        cells = list(titles)
        for place in PLACES:
            name = f'{short}_{place}'
            found = gains(runs, name, 'miou_nanmean', against=ALONE)
            cells += [spread(_scores(runs, name, _ROLE)), signed(found)]
        body.append(cells)
    return table(head, body, right=True)


def _scores(runs: Runs, name: str, role: str) -> list[float]:
    return [metric(r, role, 'test', 'miou_nanmean') for r in runs.get(name, {}).values()]


def _twice(values: Sequence[float]) -> list[str]:
    return [spread(values), '', spread(values), '']


def rows_table(runs: Runs, names: Sequence[str], *, against: str = ALONE) -> str:
    """All means of some rows on the test split, then their gains over one of them by seed."""
    head = ['run', 'seeds', *COLUMNS.values()]
    head += [f'{COLUMNS[column]}, minus {against}' for column in GAINS]
    body = []
    for name in names:
        if name not in runs:
            continue
        records = runs[name].values()
        cells = [spread([metric(r, _ROLE, 'test', column) for r in records]) for column in COLUMNS]
        differences = [
            '' if name == against else signed(gains(runs, name, column, against=against))
            for column in GAINS
        ]
        body.append([f'`{name}`', str(len(records)), *cells, *differences])
    return table(head, body, right=True)


def sizes_table(runs: Runs, names: Sequence[str]) -> str:
    """Share of the pixels of things that are found, by their area in pixels; gains below it."""
    groups = _groups(runs)
    body = []
    for name in names:
        if name not in runs:
            continue
        cells = []
        for group in groups:
            path = ('test', 'recall_by_size', group, 'recall')
            own = {seed: metric(r, _ROLE, *path) for seed, r in runs[name].items()}
            base = {seed: metric(r, _ROLE, *path) for seed, r in runs.get(ALONE, {}).items()}
            found = signed([own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())])
            gain = f' ({found})' if found and name != ALONE else ''
            cells.append(f'{spread(list(own.values()))}{gain}')
        body.append([f'`{name}`', *cells])
    return table(['run', *(f'{group} px' for group in groups)], body, right=True)


def _groups(runs: Runs) -> list[str]:
    """Groups of areas, with things in them, as the records have them."""
    found: dict[str, None] = {}
    for record in (r for records in runs.values() for r in records.values()):
        test = record['metrics'].get(_ROLE, {}).get('test', {})
        sizes = test.get('recall_by_size', {})
        found |= dict.fromkeys(name for name, group in sizes.items() if group['things'])
    return list(found)


def tuning_table(folder: Path) -> str:
    """What each configuration was tuned to: mean IoU on the validation split by ratio."""
    records = [read_record(path) for path in sorted(folder.glob('*.json'))]
    ratios = sorted({ratio for record in records for ratio in record['tried']}, key=float)
    body = []
    for record in records:
        tried: Mapping[str, Any] = record['tried']
        cells = [
            percent(tried[ratio]['miou_nanmean'] if ratio in tried else None) for ratio in ratios
        ]
        weights = ', '.join(f'{weight:g}' for weight in record['weights'].values())
        body.append([f'`{record["name"]}`', *cells, record['chosen'], weights])
    head = ['run', *(f'ratio {ratio}' for ratio in ratios), 'chosen', 'weight']
    return table(head, body, right=True)


def cost_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """What each loss costs, from the lines of `benchmarks.distillation_losses`."""
    rows = [line for line in lines if 'loss' in line]
    shapes = list(dict.fromkeys(row['shape'] for row in rows))
    body = []
    for loss in dict.fromkeys(row['loss'] for row in rows):
        found = {row['shape']: row for row in rows if row['loss'] == loss}
        body.append([f'`{loss}`', *(_cost(found.get(shape)) for shape in shapes)])
    return table(['loss', *shapes], body, right=True)


def _cost(row: Mapping[str, Any] | None) -> str:
    if row is None or row.get('ms') is None:
        return '-'
    return f'{row["ms"]:.1f} ms ({row["times_cross_entropy"]:.1f}), {row["peak_mib"]:.0f} MiB'


def page(text: str, runs: Runs, tuning: Path, cost: Path) -> str:
    """The page with the tables that there are records for."""
    sections = {}
    if runs:
        sections = {
            'table': main_table(runs),
            'rows': rows_table(runs, ROWS),
            'classes': classes_table(runs, ROWS, _ROLE),
            'sizes': sizes_table(runs, ROWS),
            'others': rows_table(runs, (ALONE, 'cwd_logits', 'cwd_features', *OTHERS)),
            'long': rows_table(runs, LONG, against=LONG[0]),
        }
    if tuning.is_dir():
        sections['tuning'] = tuning_table(tuning)
    if cost.is_file():
        lines = cost.read_text(encoding='utf-8').splitlines()
        sections['cost'] = cost_table([json.loads(line) for line in lines])
    for name, section in sections.items():
        text = replace_section(text, f'channel_wise {name}', section)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of channel-wise distillation.')
    parser.add_argument('--results', type=Path, default=Path('results/channel_wise'))
    parser.add_argument(
        '--cost', type=Path, default=Path('results/latency/distillation_losses.jsonl')
    )
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/channel_wise.md'))
    own = parser.parse_args(arguments)
    text = own.page.read_text(encoding='utf-8')
    text = page(text, read_runs(own.results), own.results / 'tuning', own.cost)
    own.page.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
