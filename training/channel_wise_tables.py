# SPDX-License-Identifier: Apache-2.0
"""The tables of channel-wise distillation, from the records of the runs: its page and its guide.

python -m training.channel_wise_tables
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from kd_perception.markdown import replace_section, table
from training.cekd_tables import Runs, class_names, classes_table, metric, read_runs, spread
from training.channel_wise_alike import check_alike
from training.channel_wise_rows import (
    ALONE,
    CLASSES,
    DEPTH,
    MAY_DIFFER,
    METHODS,
    OTHERS,
    PAIRS,
    PLACES,
    ROWS,
    SAME,
    SAME_ROWS,
    STUDENTS,
    TEACHERS,
    THERMAL,
    THERMAL_ALONE,
)
from training.channel_wise_tuned import (
    Tuned,
    check_budgets,
    check_tuned,
    read_tuned,
    tuning_section,
)
from training.loss_costs import cost_table, read_lines, steps_table
from training.mutual_tables import as_branches, depth_table
from training.paired import gains, signed
from training.size_tables import class_sizes_section, sizes_section, things_of

COLUMNS = {
    'miou_nanmean': 'mIoU',
    'miou_frequent': 'frequent',
    'miou_rare': 'rare',
    'macc_nanmean': 'mAcc',
    'boundary_f_3px': 'F 3 px',
}
GAINS = ('miou_nanmean', 'miou_frequent', 'miou_rare')

_ROLE = 'student'


def main_table(runs: Runs) -> str:
    """The paper's table: methods by row, features and logits by column."""
    head = ['method', 'structural', 'operations', 'features', 'gain', 'logits', 'gain']
    body = [
        ['teacher', '', '', *_twice(_scores(runs, TEACHERS[0], 'teacher'))],
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


def rows_table(
    runs: Runs,
    names: Sequence[str],
    *,
    against: str = ALONE,
    role: str = _ROLE,
    validated: bool = False,
) -> str:
    """All means of some rows on the test split, then their gains over one of them by seed.

    Args:
        runs: records by name and seed.
        names: of the rows.
        against: the row that the others are compared with.
        role: whose report.
        validated: with mean IoU on the validation split, too.
    """
    head = ['run', 'seeds', *(['mIoU, validation'] if validated else []), *COLUMNS.values()]
    head += [f'{COLUMNS[column]}, minus {against}' for column in GAINS]
    paths = [('validation', 'miou_nanmean')] if validated else []
    paths += [('test', column) for column in COLUMNS]
    body = []
    for name in names:
        if name not in runs:
            continue
        records = runs[name].values()
        cells = [spread([metric(r, role, *path) for r in records]) for path in paths]
        differences = [
            '' if name == against else signed(gains(runs, name, c, against=against, role=role))
            for c in GAINS
        ]
        body.append([f'`{name}`', str(len(records)), *cells, *differences])
    return table(head, body, right=True)


def choice_table(runs: Runs, steps: Sequence[Mapping[str, Any]]) -> str:
    """Which loss to use: gains of students of color and of heat, and what a step takes.

    Args:
        runs: records by name and seed.
        steps: lines of `benchmarks.distillation_steps`.
    """
    taken = {row['run']: f'{row["times_first"]:.2f}' for row in steps if 'run' in row}
    body = []
    for name in (*ROWS[1:], *OTHERS):
        found = [
            gains(runs, f'{before}{name}', GAINS[0], against=alone)
            for alone, before in STUDENTS.values()
        ]
        if any(found):
            order = mean(found[0] or found[1] or [-math.inf])
            body.append((order, [f'`{name}`', *map(signed, found), taken.get(name, '')]))
    body.sort(key=lambda row: -row[0])
    head = ['loss', *STUDENTS, 'time of a step, times alone']
    return table(head, [cells for _, cells in body], right=True)


def class_gains_table(runs: Runs, names: Sequence[str]) -> str:
    """What rows have more than the student alone by class, seed by seed."""
    classes = class_names(runs, names, _ROLE)
    body = [
        [
            f'`{name}`',
            *(signed(gains(runs, name, 'iou', c, against=ALONE)) or '-' for c in classes),
        ]
        for name in names
        if name in runs and name != ALONE
    ]
    return table([f'minus {ALONE}', *classes], body, right=True)


def pairs_table(runs: Runs) -> str:
    """Differences of two runs, seed by seed."""
    body = []
    for first, second in PAIRS:
        found = [gains(runs, first, column, against=second) for column in GAINS]
        if found[0]:
            cells = [signed(values) for values in found]
            body.append([f'`{first}` minus `{second}`', str(len(found[0])), *cells])
    return table(['runs', 'seeds', *(COLUMNS[column] for column in GAINS)], body, right=True)


def depth_section(students: Runs) -> str:
    """Depth students without and with channel-wise distillation; empty until seeds are equal."""
    seeds = [students.get(name, {}).keys() for rows in DEPTH for name in rows.names]
    if not seeds[0] or any(own != seeds[0] for own in seeds):
        return ''
    return '\n\n'.join(depth_table(as_branches(students), rows) for rows in DEPTH)


def thermal_section(runs: Runs) -> str:
    """Students of heat: all means, by class, and things by size; empty without such runs."""
    if THERMAL_ALONE not in runs:
        return ''
    parts = (
        rows_table(runs, THERMAL, against=THERMAL_ALONE, validated=True),
        classes_table(runs, THERMAL, _ROLE),
        sizes_section(runs, THERMAL, against=THERMAL_ALONE),
    )
    return '\n\n'.join(parts)


def color_sections(runs: Runs, names: Sequence[str], before: str) -> dict[str, str]:
    """Tables of students of color from one teacher by the name of their section.

    Args:
        runs: records by name and seed.
        names: of the rows, the student alone first.
        before: the names of the rows, and of their sections.
    """
    if not any(name in runs for name in names[1:]):
        return {}
    things = f'Things of the test split: {things_of(runs, names)}.'
    sections = {
        'rows': rows_table(runs, names),
        'classes': classes_table(runs, names, _ROLE),
        'class_gains': class_gains_table(runs, names),
        'sizes': f'{things}\n\n{sizes_section(runs, names, against=ALONE)}',
        'class_sizes': class_sizes_section(runs, names, CLASSES),
    }
    return {f'{before}{name}': section for name, section in sections.items()}


def student_sections(runs: Runs) -> dict[str, str]:
    """Tables of segmentation by the name of their section."""
    teachers = (
        rows_table(runs, TEACHERS, against=TEACHERS[0], role='teacher', validated=True),
        classes_table(runs, TEACHERS, 'teacher'),
    )
    others = (ALONE, 'cwd_logits', *OTHERS)
    return {
        **color_sections(runs, SAME_ROWS, SAME),
        'table': main_table(runs),
        **color_sections(runs, ROWS, ''),
        'teachers': '\n\n'.join(teachers),
        'others': rows_table(runs, others, validated=True),
        'thermal': thermal_section(runs),
        'pairs': pairs_table(runs),
    }


def page(
    text: str,
    runs: Runs,
    tuned: Tuned,
    full_length: Tuned,
    students: Runs,
    cost: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> str:
    """The page with the tables that there are records for; others stay as they are.

    Args:
        text: of the page.
        runs: records of segmentation by name and seed.
        tuned: records of tuning by name.
        full_length: those of tuning in runs as long as those of the tables.
        students: records of depth by name and seed.
        cost: lines of `benchmarks.distillation_losses`.
        steps: lines of `benchmarks.distillation_steps`.

    Raises:
        ConfigError: a run has other weights than it was tuned to, rows were tuned with unequal
            effort, or rows differ in more than their terms.
    """
    check_tuned(runs, tuned)
    check_budgets(tuned)
    check_alike(runs, ALONE, MAY_DIFFER)
    sections = student_sections(runs) if runs else {}
    sections |= {
        'tuning': tuning_section(runs, tuned),
        'full_length': tuning_section({}, full_length),
        'depth': depth_section(students),
        'cost': cost_table(cost) if cost else '',
        'steps': steps_table(steps) if steps else '',
    }
    for name, section in sections.items():
        if section:
            text = replace_section(text, f'channel_wise {name}', section)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of channel-wise distillation.')
    parser.add_argument('--results', type=Path, default=Path('results/channel_wise'))
    parser.add_argument('--students', type=Path, default=Path('results/compress_depth'))
    parser.add_argument(
        '--cost', type=Path, default=Path('results/latency/distillation_losses.jsonl')
    )
    parser.add_argument(
        '--steps', type=Path, default=Path('results/latency/distillation_steps.jsonl')
    )
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/channel_wise.md'))
    parser.add_argument('--guide', type=Path, default=Path('training/README.md'))
    own = parser.parse_args(arguments)
    runs, steps = read_runs(own.results), read_lines(own.steps)
    text = page(
        own.page.read_text(encoding='utf-8'),
        runs,
        read_tuned(own.results / 'tuning'),
        read_tuned(own.results / 'full_length' / 'tuning'),
        read_runs(own.students),
        read_lines(own.cost),
        steps,
    )
    own.page.write_text(text, encoding='utf-8')
    if runs:
        guide = own.guide.read_text(encoding='utf-8')
        guide = replace_section(guide, 'channel_wise choice', choice_table(runs, steps))
        own.guide.write_text(guide, encoding='utf-8')


if __name__ == '__main__':
    main()
