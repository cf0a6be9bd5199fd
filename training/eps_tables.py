# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/eps.md, from the records of the runs.

python -m training.eps_tables
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_perception.markdown import replace_section, table
from training.cekd_tables import Runs, read_runs, spread

MASKS = {
    'method': ('cam', 'eps'),
    'selection': ('naive', 'fixed', 'adaptive'),
    'threshold': ('tau20', 'adaptive', 'tau60'),
    'blend': ('lambda30', 'eps', 'lambda90'),
    'saliency': ('truth', 'eps', 'degraded', 'detector'),
    'streets': ('street_cam', 'street_eps', 'street_pooling', 'street_close', 'street_tiles'),
    'pairs': ('pairs_cam', 'pairs_eps'),
}  # fmt: skip
"""Rows of each table of masks by the name of its section; the run that others are compared with is
the one in `AGAINST`, else `eps`."""

AGAINST = {
    'method': 'cam', 'selection': 'naive', 'threshold': 'adaptive', 'streets': 'street_cam',
    'pairs': 'pairs_cam',
}  # fmt: skip

SEGMENTATION = (
    *('seg_cam', 'seg_eps', 'seg_full'),
    *('thermal_eps', 'thermal_from_color', 'thermal_full'),
)

CONFUSED = (
    ('color_cone', 'bump'), ('car', 'car_stop'), ('color_cone', 'unlabeled'), ('car', 'unlabeled'),
)  # fmt: skip
"""Class and what may be taken for it, in the table of pairs."""

Column = Sequence[str]


def value(record: Mapping[str, Any], path: Column, scale: float = 100.0) -> float:
    """A number of a record's metrics; NaN where it is not known."""
    found: Any = record['metrics']
    for name in path:
        found = found.get(name) if found else None
    return float('nan') if found is None else scale * float(found)


def cells(runs: Runs, name: str, paths: Sequence[Column], scale: float = 100.0) -> list[str]:
    """Mean and spread over the seeds of a run, by column."""
    return [
        spread([value(record, path, scale) for record in runs[name].values()]) for path in paths
    ]


def gain(runs: Runs, name: str, against: str, path: Column) -> str:
    """What a run has more than another one, seed by seed; empty for the run itself."""
    if name == against:
        return ''
    both = sorted(runs[name].keys() & runs.get(against, {}).keys())
    return spread([value(runs[name][s], path) - value(runs[against][s], path) for s in both])


def classes_of(runs: Runs, names: Sequence[str], part: str) -> tuple[str, ...]:
    """Classes that some runs were scored on, in their order."""
    reports = [r['metrics'].get(part, {}) for n in names for r in runs.get(n, {}).values()]
    return tuple(dict.fromkeys(c for report in reports for c in report.get('iou', {})))


def masks_table(runs: Runs, names: Sequence[str], *, against: str) -> str:
    """Tags, masks at the paper's threshold and at the best one, IoU by class."""
    classes = classes_of(runs, names, 'masks')
    head = ['run', 'seeds', 'tags: mAP', 'tags: accuracy', 'always the same', 'mIoU',
            f'minus {against}', 'mIoU, best threshold', f'minus {against}', *classes]  # fmt: skip
    body = []
    for name in (name for name in names if name in runs):
        tags = cells(runs, name, [
            ('classifier', 'mean_average_precision'), ('classifier', 'accuracy'),
            ('classifier', 'majority_accuracy'),
        ])  # fmt: skip
        found = [
            cell
            for column in ('miou', 'miou_best_threshold')
            for cell in (
                *cells(runs, name, [('masks', column)]),
                gain(runs, name, against, ('masks', column)),
            )
        ]
        by_class = cells(runs, name, [('masks', 'iou', c) for c in classes])
        body.append([f'`{name}`', str(len(runs[name])), *tags, *found, *by_class])
    return table(head, body, right=True)


def pairs_table(runs: Runs, names: Sequence[str]) -> str:
    """What was taken for a class, over what it was rightly taken for."""
    head = ['run', *(f'{thing} / {name}' for name, thing in CONFUSED)]
    body = [
        [f'`{name}`', *cells(runs, name, [('masks', 'confusions', *p) for p in CONFUSED], 1.0)]
        for name in names
        if name in runs
    ]
    return table(head, body, right=True)


def segmentation_table(runs: Runs) -> str:
    """Networks on the test split, with the masks that they learnt from."""
    names = [name for name in SEGMENTATION if name in runs]
    classes = classes_of(runs, names, 'segmentation')
    head = ['run', 'seeds', 'mIoU of the masks', 'mIoU', 'mAcc', 'F 3 px', *classes]
    paths = [
        ('masks', 'miou'), ('segmentation', 'miou_nanmean'), ('segmentation', 'macc_nanmean'),
        ('segmentation', 'boundary_f_3px'), *(('segmentation', 'iou', c) for c in classes),
    ]  # fmt: skip
    body = [[f'`{n}`', str(len(runs[n])), *cells(runs, n, paths)] for n in names]
    return table(head, body, right=True)


def page(text: str, runs: Runs) -> str:
    """The page with its tables."""
    for name, rows in MASKS.items():
        section = masks_table(runs, rows, against=AGAINST.get(name, 'eps'))
        if name == 'pairs':
            section += '\n\n' + pairs_table(runs, rows)
        text = replace_section(text, f'eps {name}', section)
    return replace_section(text, 'eps segmentation', segmentation_table(runs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of EPS from its records.')
    parser.add_argument('--results', type=Path, default=Path('results/eps'))
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/eps.md'))
    own = parser.parse_args(arguments)
    text = own.page.read_text(encoding='utf-8')
    own.page.write_text(page(text, read_runs(own.results)), encoding='utf-8')


if __name__ == '__main__':
    main()
