# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/inverse_form.md, from the records of the runs.

python -m training.inverse_form_tables
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_perception.markdown import replace_section, table
from training.cekd_tables import Record, Runs, metric, read_runs, spread
from training.inverse_form_module_tables import (
    MODULES,
    SHIFTS,
    choices_table,
    errors_table,
    explained,
    modules_table,
    reports,
    shifts_table,
)
from training.plane_transforms import NAMES

TABLES = {
    'arms': ('none', 'attention', 'full', 'random'),
    'weights': ('attention', 'tenth', 'third', 'full'),
    'distances': ('homography', 'geodesic'),
    'tiles': ('attention', 'full', 'tile48', 'tile64'),
    'regressors': (
        *('attention', 'dense_small', 'cnn_flatten', 'cnn_gap', 'cnn_gap_coordinates'),
        'correlation',
    ),
    'eknet': ('cekd_attention', 'cekd_inverse_form'),
    'pspnet': ('pspnet_attention', 'pspnet_inverse_form'),
}
"""Rows of each table by the name of its section."""

AGAINST = {
    'distances': 'homography',
    'eknet': 'cekd_attention',
    'pspnet': 'pspnet_attention',
}
"""What a table holds its rows against; `attention` where nothing else is said."""

LENIENT = ('distances', 'regressors')
"""Tables of students whose inverse networks would be refused otherwise: what they explain stands
beside the scores."""

STAGE_1 = ('shifts', 'stn')
"""Configurations of stage 1 alone."""

RETRAINED = 'thermal_seg_s'
"""The shipped student, which learnt by compress, and by InverseForm under the same name."""

COLUMNS = {
    'miou_nanmean': 'mIoU',
    'macc_nanmean': 'mAcc',
    **{f'boundary_f_{k}px': f'F {k} px' for k in (1, 2, 3, 5)},
}
_GAINS = ('miou_nanmean', 'boundary_f_1px', 'boundary_f_3px')
_DECIDING = ('miou_nanmean', 'boundary_f_3px')


def means_table(
    runs: Runs, names: Sequence[str], *, against: str, parameters: Sequence[str] = ()
) -> str:
    """One row per run on the test split, and its gains over another run, seed by seed.

    Args:
        runs: records.
        names: of the rows; those that no student was trained for are left out.
        against: the other run.
        parameters: whose explained shares stand beside the scores.
    """
    gains = [f'{COLUMNS[column]}, minus `{against}`' for column in _GAINS]
    shares = [f'explained of {parameter} [%]' for parameter in parameters]
    body = [
        [*_row(runs, name, against), *(explained(reports(runs, name), p) for p in parameters)]
        for name in names
        if 'test' in _first(runs, name)['metrics']
    ]
    return table(['run', 'seeds', *COLUMNS.values(), *gains, *shares], body, right=True)


def _first(runs: Runs, name: str) -> Mapping[str, Any]:
    return next(iter(runs.get(name, {}).values()), {'metrics': {}})


def _row(runs: Runs, name: str, against: str) -> list[str]:
    records, others = runs[name], runs.get(against, {})
    means = [spread([metric(r, 'test', column) for r in records.values()]) for column in COLUMNS]
    both = sorted(records.keys() & others.keys())
    gains = [
        spread(
            [metric(records[s], 'test', column) - metric(others[s], 'test', column) for s in both]
        )
        for column in _GAINS
    ]
    own = [''] * len(_GAINS) if name == against else gains
    return [f'`{name}`', str(len(records)), *means, *own]


def shown_parameters(runs: Runs, name: str) -> list[str]:
    """Parameters whose explained shares stand in a table of students."""
    if name not in LENIENT:
        return []
    known = [each for row in TABLES[name] for each in reports(runs, row)]
    return [p for p in NAMES if any(p in each['explained'] for each in known)]


def costs_table(runs: Runs) -> str:
    """Weights while a student learns and when it is deployed, and the time of both stages."""
    head = ['run', 'weights in training', 'weights deployed', 'stage 1 [s]', 'student [s]']
    names = dict.fromkeys(name for names in TABLES.values() for name in names)
    body = [
        _costs(name, list(runs[name].values()), reports(runs, name))
        for name in names
        if 'weights' in _first(runs, name)['metrics']
    ]
    return table(head, body, right=True)


def _costs(
    name: str, records: Sequence[Record], modules: Sequence[Mapping[str, Any]]
) -> list[str]:
    weights = records[0]['metrics']['weights']
    first = [each['training_seconds'] for each in modules]
    seconds = [record['metrics']['training_seconds'] for record in records]
    counts = [f'{weights[key]:,}' for key in ('training', 'deployed')]
    return [
        f'`{name}`',
        *counts,
        *(f'{sum(s) / len(s):.0f}' if s else '' for s in (first, seconds)),
    ]


def retrained_table(runs: Runs, compressed: Runs) -> str:
    """The shipped student on the validation split, without InverseForm and with it, by seed."""
    head = ['seed', *(f'{COLUMNS[c]}, {which}' for c in _DECIDING for which in _WHICH)]
    ours, theirs = runs[RETRAINED], compressed[RETRAINED]
    body, gains = [], []
    for seed in sorted(ours.keys() & theirs.keys()):
        pairs = [
            (metric(theirs[seed], 'synthetic_validation', c), metric(ours[seed], 'validation', c))
            for c in _DECIDING
        ]
        gains.append([after - before for before, after in pairs])
        cells = [f'{v:.1f}' for before, after in pairs for v in (before, after, after - before)]
        body.append([str(seed), *cells])
    means = [spread(each) for each in zip(*gains, strict=True)]
    body.append(['mean', *(cell for mean in means for cell in ('', '', mean))])
    return table(head, body, right=True)


_WHICH = ('without', 'with', 'gain')


def page(text: str, runs: Runs, compressed: Runs | None = None) -> str:
    """The page with its tables; those without any record are left as they are."""
    for name, rows in TABLES.items():
        known = [row for row in rows if row in runs]
        if not known:
            continue
        against, parameters = AGAINST.get(name, 'attention'), shown_parameters(runs, name)
        found = means_table(runs, known, against=against, parameters=parameters)
        text = replace_section(text, f'inverse_form {name}', found)
    if any(reports(runs, name) for name in MODULES):
        text = replace_section(text, 'inverse_form modules', modules_table(runs))
        text = replace_section(text, 'inverse_form errors', errors_table(runs))
    if reports(runs, 'stn_inverse'):
        text = replace_section(text, 'inverse_form choices', choices_table(runs))
    if 'shifts' in _first(runs, SHIFTS)['metrics']:
        text = replace_section(text, 'inverse_form shifts', shifts_table(runs))
    if any('weights' in _first(runs, name)['metrics'] for name in runs):
        text = replace_section(text, 'inverse_form costs', costs_table(runs))
    if RETRAINED in runs and compressed and RETRAINED in compressed:
        text = replace_section(text, 'inverse_form retrained', retrained_table(runs, compressed))
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of InverseForm.')
    parser.add_argument('--results', type=Path, default=Path('results/inverse_form'))
    parser.add_argument('--compressed', type=Path, default=Path('results/compress'))
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/inverse_form.md'))
    own = parser.parse_args(arguments)
    text = own.page.read_text(encoding='utf-8')
    runs, compressed = read_runs(own.results), read_runs(own.compressed)
    own.page.write_text(page(text, runs, compressed), encoding='utf-8')


if __name__ == '__main__':
    main()
