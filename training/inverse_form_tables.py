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
from training.cekd_tables import Runs, metric, read_runs, spread
from training.plane_transforms import NAMES

TABLES = {
    'arms': ('none', 'boundary', 'attention', 'full', 'random'),
    'distances': ('attention', 'full', 'affine', 'homography', 'geodesic'),
    'tiles': ('attention', 'tile16', 'full', 'tile48', 'tile96'),
    'regressors': (
        *('attention', 'dense_small', 'cnn_flatten', 'cnn_gap', 'cnn_gap_coordinates'),
        'correlation',
    ),
    'samplers': ('attention', 'full', 'stn'),
    'eknet': ('cekd', 'cekd_inverse_form'),
    'pspnet': ('pspnet', 'pspnet_inverse_form'),
}
"""Rows of each table by the name of its section."""

AGAINST = {'arms': 'attention', 'eknet': 'cekd', 'pspnet': 'pspnet'}
"""What a table holds its rows against; `attention` where nothing else is said."""

MODULES = (
    *('full', 'affine', 'geodesic', 'homography', 'tile16', 'tile48', 'tile96', 'stn', 'shifts'),
    *('dense_small', 'cnn_flatten', 'cnn_gap', 'cnn_gap_coordinates', 'correlation', 'random'),
)
"""Rows of the table of inverse networks."""

SHIFTS = 'shifts'
"""Run whose record holds the losses against the shift."""

COLUMNS = {
    'miou_nanmean': 'mIoU',
    'macc_nanmean': 'mAcc',
    **{f'boundary_f_{k}px': f'F {k} px' for k in (1, 2, 3, 5)},
}
_GAINS = ('miou_nanmean', 'boundary_f_1px', 'boundary_f_3px')


def means_table(runs: Runs, names: Sequence[str], *, against: str) -> str:
    """One row per run on the test split, and its gains over another run, seed by seed."""
    gains = [f'{COLUMNS[column]}, minus `{against}`' for column in _GAINS]
    body = [_row(runs, name, against) for name in names if 'test' in _first(runs, name)['metrics']]
    return table(['run', 'seeds', *COLUMNS.values(), *gains], body, right=True)


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


def modules_table(runs: Runs) -> str:
    """How well each inverse network estimates held-out transforms."""
    known = [name for name in MODULES if 'inverse' in _first(runs, name)['metrics']]
    reports = {
        name: [record['metrics']['inverse'] for record in runs[name].values()] for name in known
    }
    head = ['run', 'weights', 'explained [%]', *(f'RMSE of {name}' for name in NAMES)]
    body = [
        [
            f'`{name}`',
            f'{found[0]["weights"]:,}',
            spread([100.0 * each['explained_share'] for each in found]),
            *(_error(found, parameter) for parameter in NAMES),
        ]
        for name, found in reports.items()
    ]
    return table(head, body, right=True)


def _error(reports: Sequence[Mapping[str, Any]], parameter: str) -> str:
    values = [each['rmse'][parameter] for each in reports if parameter in each['rmse']]
    return f'{sum(values) / len(values):.3g}' if values else ''


def shifts_table(runs: Runs) -> str:
    """Both losses against the shift of a boundary, each as a share of that at the largest."""
    curves = [record['metrics']['shifts'] for record in runs[SHIFTS].values()]
    head = ['shift [px]', 'balanced cross-entropy [%]', 'InverseForm [%]']
    body = [
        [
            str(shift),
            *(
                spread([100.0 * each[name][k] / each[name][-1] for each in curves])
                for name in ('cross_entropy', 'inverse_form')
            ),
        ]
        for k, shift in enumerate(curves[0]['shift_px'])
    ]
    return table(head, body, right=True)


def costs_table(runs: Runs) -> str:
    """Weights while a student learns and when it is deployed, and the time that it learnt."""
    head = ['run', 'weights in training', 'weights deployed', 'training [s]']
    names = dict.fromkeys(name for names in TABLES.values() for name in names)
    body = []
    for name in names:
        metrics = _first(runs, name)['metrics']
        if 'weights' not in metrics:
            continue
        seconds = [r['metrics']['training_seconds'] for r in runs[name].values()]
        counts = (f'{metrics["weights"][key]:,}' for key in ('training', 'deployed'))
        body.append([f'`{name}`', *counts, f'{sum(seconds) / len(seconds):.0f}'])
    return table(head, body, right=True)


def page(text: str, runs: Runs) -> str:
    """The page with its tables; those without any record are left as they are."""
    for name, rows in TABLES.items():
        known = [row for row in rows if row in runs]
        if not known:
            continue
        found = means_table(runs, known, against=AGAINST.get(name, 'attention'))
        text = replace_section(text, f'inverse_form {name}', found)
    if any('inverse' in _first(runs, name)['metrics'] for name in MODULES):
        text = replace_section(text, 'inverse_form modules', modules_table(runs))
    if 'shifts' in _first(runs, SHIFTS)['metrics']:
        text = replace_section(text, 'inverse_form shifts', shifts_table(runs))
    if any('weights' in _first(runs, name)['metrics'] for name in runs):
        text = replace_section(text, 'inverse_form costs', costs_table(runs))
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of InverseForm.')
    parser.add_argument('--results', type=Path, default=Path('results/inverse_form'))
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/inverse_form.md'))
    own = parser.parse_args(arguments)
    text = own.page.read_text(encoding='utf-8')
    own.page.write_text(page(text, read_runs(own.results)), encoding='utf-8')


if __name__ == '__main__':
    main()
