# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/mutual_distillation.md, from the records of the runs.

python -m training.mutual_tables
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kd_perception.markdown import replace_section, table
from training.cekd_tables import read_runs, spread

Record = dict[str, Any]
Runs = Mapping[str, Mapping[int, Record]]


class Rows(NamedTuple):
    """One table.

    Attributes:
        names: of its runs, in order.
        against: the run whose deployed branch all branches are compared with, seed by seed.
    """

    names: tuple[str, ...]
    against: str


TABLES = {
    'arms': Rows(
        ('place_prior', 'sup_l1', 'sup_nll', 'unsup_stereo', 'plain_sum_weight1', 'plain_sum',
         'plain_sum_wide', 'sup_sup', 'sup_sup_augmented', 'unsup_unsup', 'sup_unsup'),
        'sup_unsup',
    ),
    'long': Rows(
        ('place_prior', 'long_sup_l1', 'long_sup_nll', 'long_unsup_stereo', 'long_plain_sum',
         'long_sup_sup', 'long_unsup_unsup', 'long_sup_unsup'),
        'long_sup_unsup',
    ),
    'start': Rows(('unsup_unsup', 'later_unsup_unsup', 'sup_unsup', 'later_sup_unsup'),
                  'sup_unsup'),
    'views': Rows(
        ('unsup_stereo', 'unsup_video', 'plain_sum', 'plain_sum_video', 'sup_unsup',
         'sup_unsup_video', 'sup_unsup_video_learned'),
        'sup_unsup',
    ),
    'filtering': Rows(('filter_none', 'filter_hinge', 'sup_unsup', 'margin_10'),
                      'sup_unsup'),
    'weighting': Rows(('equal_weights', 'sup_unsup', 'ut', 'uwt', 'ct'), 'sup_unsup'),
    'components': Rows(
        ('no_components', 'only_noise', 'only_distillation', 'sup_nll', 'filter_none',
         'without_distillation', 'without_noise', 'sup_unsup'),
        'no_components',
    ),
    'choices': Rows(('sup_unsup', 'shared_encoder', 'nll_detached', 'paper_weights'),
                    'sup_unsup'),
    'few_lidar': Rows(('few_lidar_sup_l1', 'few_lidar_plain_sum', 'few_lidar_sup_unsup'),
                      'few_lidar_plain_sum'),
    'wrong_lidar': Rows(('lidar_sup_l1', 'lidar_plain_sum', 'lidar_sup_unsup'),
                        'lidar_plain_sum'),
    'wrong_poses': Rows(('poses_unsup_video', 'poses_plain_sum_video', 'poses_sup_unsup_video'),
                        'poses_plain_sum_video'),
    'night': Rows(('night_place_prior', 'night_sup_l1', 'night_unsup_stereo', 'night_plain_sum',
                   'night_sup_unsup'),
                  'night_plain_sum'),
    'glare': Rows(('glare_place_prior', 'glare_sup_l1', 'glare_unsup_stereo', 'glare_plain_sum',
                   'glare_sup_unsup'),
                  'glare_plain_sum'),
}  # fmt: skip
"""Rows of each table by the name of its section."""

STUDENTS = Rows(
    ('small_lidar', 'small_lidar_and_teacher', 'small_taught', 'small_labels',
     'small_labels_and_teacher'),
    'small_lidar',
)  # fmt: skip
"""Fast students, with and without a branch that teaches them."""

DEPTH_COLUMNS = {
    ('all', 'abs_rel'): 'abs rel',
    ('all', 'rmse'): 'RMSE [m]',
    ('all', 'delta1'): 'delta1',
    ('inside', 'abs_rel'): 'inside',
    ('outside', 'abs_rel'): 'outside',
    ('glass', 'abs_rel'): 'glass',
    ('objects', 'abs_rel'): 'objects',
    ('sky_far_share',): 'sky > 40 m',
}

SIGMA_COLUMNS = {
    ('sparsification', 'abs_rel', 'ause'): 'AUSE abs rel',
    ('sparsification', 'abs_rel', 'aurg'): 'AURG abs rel',
    ('sparsification', 'rmse', 'ause'): 'AUSE RMSE [m]',
    ('sparsification', 'rmse', 'aurg'): 'AURG RMSE [m]',
    ('sparsification', 'outliers', 'ause'): 'AUSE 1 - delta1',
    ('sparsification', 'outliers', 'aurg'): 'AURG 1 - delta1',
    ('sigma_inside',): 'sigma inside',
    ('sigma_outside',): 'sigma outside',
    ('scale_ratio',): 'scale',
}


def metric(record: Record, branch: str, *path: str, split: str = 'test') -> float:
    """A number of a branch's report; NaN where it is not known."""
    value: Any = record['metrics'].get(branch, {}).get(split, {})
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float('nan') if value is None else float(value)


def branches(records: Mapping[int, Record]) -> list[str]:
    """Branches of a run, the deployed one first."""
    return list(next(iter(records.values()))['metrics'])


def differences(
    records: Mapping[int, Record], branch: str, others: Mapping[int, Record], *path: str
) -> str:
    """What a branch has more than the deployed branch of another run, seed by seed."""
    both = sorted(records.keys() & others.keys())
    if not both:
        return '-'
    deployed = branches(others)[0]
    found = [
        metric(records[seed], branch, *path) - metric(others[seed], deployed, *path)
        for seed in both
    ]
    return ', '.join(f'{value:+.3f}' for value in found if np.isfinite(value)) or '-'


def depth_table(runs: Runs, rows: Rows) -> str:
    """Depth of every branch of some runs on the test split."""
    head = ['run', 'branch', 'seeds', *DEPTH_COLUMNS.values(), f'abs rel minus `{rows.against}`']
    head.append(f'outside minus `{rows.against}`')
    body = []
    for name, branch, cells in _cells(runs, rows, DEPTH_COLUMNS):
        others = runs.get(rows.against, {})
        for region in ('all', 'outside'):
            same = name == rows.against and branch == branches(runs[name])[0]
            text = differences(runs[name], branch, others, region, 'abs_rel')
            cells.append('' if same else text)
        body.append([f'`{name}`', branch, str(len(runs[name])), *cells])
    return table(head, body, right=True)


def sigma_table(runs: Runs, rows: Rows) -> str:
    """Uncertainty of every branch that has learnt it, on the test split."""
    body = [
        [f'`{name}`', branch, *cells]
        for name, branch, cells in _cells(runs, rows, SIGMA_COLUMNS)
        if cells[0] != '-'
    ]
    return table(['run', 'branch', *SIGMA_COLUMNS.values()], body, right=True)


def _cells(
    runs: Runs, rows: Rows, columns: Mapping[tuple[str, ...], str]
) -> list[tuple[str, str, list[str]]]:
    """Run, branch and one cell per column; lengths to decimeters."""
    places = {path: 1 if title.endswith('[m]') else 3 for path, title in columns.items()}
    return [
        (
            name,
            branch,
            [
                spread([metric(record, branch, *path) for record in runs[name].values()], digits)
                for path, digits in places.items()
            ],
        )
        for name in rows.names
        if name in runs
        for branch in branches(runs[name])
    ]


def as_branches(runs: Runs) -> Runs:
    """Records of fast students, as of runs with one branch each."""
    return {
        name: {
            seed: {**record, 'metrics': {'student': record['metrics']}}
            for seed, record in records.items()
        }
        for name, records in runs.items()
    }


def page(text: str, runs: Runs) -> str:
    """The page with those of its tables whose rows have all been run."""
    for name, rows in {**TABLES, 'students': STUDENTS}.items():
        if all(run in runs for run in rows.names):
            parts = (depth_table(runs, rows), sigma_table(runs, rows))
            text = replace_section(text, f'mutual {name}', '\n\n'.join(parts))
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of mutual distillation.')
    parser.add_argument('--results', type=Path, default=Path('results/mutual_distillation'))
    parser.add_argument('--students', type=Path, default=Path('results/compress_depth'))
    parser.add_argument(
        '--page', type=Path, default=Path('docs/reproductions/mutual_distillation.md')
    )
    own = parser.parse_args(arguments)
    runs = {**read_runs(own.results), **as_branches(read_runs(own.students))}
    text = page(own.page.read_text(encoding='utf-8'), runs)
    own.page.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
