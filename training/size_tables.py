# SPDX-License-Identifier: Apache-2.0
"""Tables of recall and precision by the size of things, from what `SizeScores` reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kd_perception.markdown import table
from training.cekd_tables import Runs, metric, spread
from training.paired import signed

MEASURES = {'recall': 'things', 'precision': 'parts'}
"""Means, and what they are taken over."""

_ROLE = 'student'


def sizes_section(runs: Runs, names: Sequence[str], *, against: str) -> str:
    """Recall and precision of all classes together, by area, with gains over a run by seed."""
    parts = []
    for measure, counted in MEASURES.items():
        groups = _groups(runs, names, counted)
        head = [measure, *(f'{group} px' for group in groups)]
        body = [
            [f'`{name}`', *(_cell(runs, name, group, measure, against) for group in groups)]
            for name in names
            if name in runs
        ]
        parts.append(table(head, body, right=True))
    return '\n\n'.join(parts)


def class_sizes_section(runs: Runs, names: Sequence[str], classes: Sequence[str]) -> str:
    """Recall and precision of some classes by area, one table each."""
    groups = _groups(runs, names, 'things')
    parts = []
    for own in classes:
        head = [own, *(f'{group} px' for group in groups)]
        body = [
            [f'`{name}`', *(_both(runs[name], group, own) for group in groups)]
            for name in names
            if name in runs
        ]
        parts.append(table(head, body, right=True))
    return '\n\n'.join(parts)


def things_of(runs: Runs, names: Sequence[str]) -> str:
    """How many things there are in each group of areas, in words."""
    found = {
        group: report['things']
        for report_of in _reports(runs, names)
        for group, report in report_of.items()
    }
    return ', '.join(f'{count} of {group} px' for group, count in found.items())


def _cell(runs: Runs, name: str, group: str, measure: str, against: str) -> str:
    path = ('test', 'by_size', group, measure)
    own = {seed: metric(r, _ROLE, *path) for seed, r in runs[name].items()}
    base = {seed: metric(r, _ROLE, *path) for seed, r in runs.get(against, {}).items()}
    gain = signed([own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())])
    return spread(list(own.values())) + (f' ({gain})' if gain and name != against else '')


def _both(records: Mapping[int, Mapping[str, Any]], group: str, own: str) -> str:
    path = ('test', 'by_size', group, 'by_class', own)
    return ', '.join(
        spread([metric(dict(record), _ROLE, *path, measure) for record in records.values()])
        for measure in MEASURES
    )


def _groups(runs: Runs, names: Sequence[str], counted: str) -> list[str]:
    """Groups of areas with something in them, as the records have them."""
    reports = _reports(runs, names)
    found = {group for report in reports for group, own in report.items() if own[counted]}
    return [group for group in dict.fromkeys(g for report in reports for g in report)
            if group in found]  # fmt: skip


def _reports(runs: Runs, names: Sequence[str]) -> list[dict[str, Any]]:
    records = [record for name in names for record in runs.get(name, {}).values()]
    tests = [record['metrics'].get(_ROLE, {}).get('test', {}) for record in records]
    return [test['by_size'] for test in tests if 'by_size' in test]
