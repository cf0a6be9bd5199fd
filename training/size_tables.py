# SPDX-License-Identifier: Apache-2.0
"""Tables of recall and precision by the size of things, from what `SizeScores` reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from kd_perception.markdown import table
from training.cekd_tables import Runs, metric, spread
from training.paired import signed

MEASURES = {'recall': 'things', 'precision': 'parts'}
"""Means, and what they are taken over."""

_ROLE = 'student'


def sizes_section(runs: Runs, names: Sequence[str], *, against: str) -> str:
    """Recall and precision by area, means over the classes, with gains over a run by seed.

    Classes count alike, as in mean IoU: a mean over all things would be one of the classes of
    which there are many.
    """
    parts = []
    for measure, counted in MEASURES.items():
        groups = _groups(runs, names, counted)
        head = [measure, *map(_title, groups)]
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
        head = [own, *map(_title, groups)]
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
    return ', '.join(f'{count} of {_title(group)}' for group, count in found.items())


def _title(group: str) -> str:
    return f'{group} px' if group[-1] != '-' else f'{group[:-1]} px and more'


def _cell(runs: Runs, name: str, group: str, measure: str, against: str) -> str:
    own, base = (
        {seed: _class_mean(record, group, measure) for seed, record in runs.get(each, {}).items()}
        for each in (name, against)
    )
    gain = signed([own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())])
    return spread(list(own.values())) + (f' ({gain})' if gain and name != against else '')


def _class_mean(record: Mapping[str, Any], group: str, measure: str) -> float:
    """Mean in percent over the classes that have such things, or parts; nan where none has."""
    classes = record['metrics'][_ROLE]['test']['by_size'][group]['by_class'].values()
    known = [own[measure] for own in classes if own[measure] is not None]
    return 100.0 * mean(known) if known else math.nan


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
