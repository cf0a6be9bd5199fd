# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/eps.md, from the records of the runs.

python -m training.eps_tables
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.markdown import replace_section, table
from training.cekd_tables import Runs, read_runs, spread

MASKS = {
    'method': ('cam', 'cam_salient', 'eps', 'eps_learned', 'eps_salient'),
    'selection': ('naive', 'naive_learned', 'naive_salient', 'fixed', 'eps', 'tags_first',
                  'tags_first_salient'),
    'threshold': ('tau20', 'eps', 'tau60'),
    'blend': ('lambda30', 'eps', 'lambda90'),
    'saliency': ('truth', 'eps', 'degraded', 'detector'),
    'streets': ('street_cam', 'street_eps', 'street_long', 'street_tiles_cam', 'street_tiles',
                'street_tiles_learned', 'street_bag'),
    'heat': ('thermal_eps', 'thermal_learned', 'thermal_salient', 'thermal_bag',
             'thermal_detector', 'thermal_from_color'),
}  # fmt: skip
"""Rows of each table of masks by the name of its section; the run that others are compared with is
the one in `AGAINST`, else `eps`."""

AGAINST = {
    'method': 'cam', 'selection': 'naive', 'streets': 'street_cam', 'heat': 'thermal_eps',
}  # fmt: skip

OVERLAPS = ('tau20', 'eps', 'tau60', 'tags_first', 'naive')

SEGMENTATION = {
    **dict.fromkeys(
        ('seg_cam', 'seg_eps', 'seg_learned', 'seg_salient', 'seg_naive_salient',
         'seg_salient_tags', 'seg_full'), 'seg_full',
    ),
    **dict.fromkeys(('thermal_eps', 'thermal_learned', 'thermal_salient', 'thermal_bag',
                     'thermal_detector', 'thermal_from_color', 'thermal_full'), 'thermal_full'),
}  # fmt: skip
"""Rows of the table of networks, each with the one that saw the labels of all pixels."""

CONTROL = 'salient_tags'

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


def cells(
    runs: Runs, name: str, paths: Sequence[Column], scale: float = 100.0, digits: int = 1
) -> list[str]:
    """Mean and spread over the seeds of a run, by column."""
    records = runs[name].values()
    return [spread([value(record, path, scale) for record in records], digits) for path in paths]


def gain(
    runs: Runs, name: str, against: str, path: Column, scale: float = 100.0, digits: int = 1
) -> str:
    """What a run has more than another one, seed by seed; empty for the run itself."""
    if name == against:
        return ''
    both = sorted(runs[name].keys() & runs.get(against, {}).keys())
    differences = [
        value(runs[name][seed], path, scale) - value(runs[against][seed], path, scale)
        for seed in both
    ]
    return spread(differences, digits)


def over_control(runs: Runs, name: str) -> list[float]:
    """What the masks of a run have more than its control without learning, by seed."""
    return [
        value(record, ('masks', 'miou')) - value(record, ('masks', CONTROL, 'miou'))
        for record in runs[name].values()
    ]


def with_controls(runs: Runs, names: Sequence[str]) -> tuple[Runs, list[str]]:
    """Runs and names of rows, with a row of the control after the first run of each saliency."""
    rows, added, known = list[str](), dict[str, Any](runs), set[str]()
    for name in (name for name in names if name in runs):
        rows.append(name)
        control = {
            seed: {'metrics': {'masks': record['metrics']['masks'][CONTROL]}}
            for seed, record in runs[name].items()
            if CONTROL in record['metrics'].get('masks', {})
        }
        shown = json.dumps([one['metrics'] for one in control.values()])
        if control and shown not in known:
            known.add(shown)
            rows.append(f'{CONTROL}, saliency of {name}')
            added[rows[-1]] = control
    return added, rows


def classes_of(runs: Runs, names: Sequence[str], part: str) -> tuple[str, ...]:
    """Classes that some runs were scored on, in their order."""
    reports = [r['metrics'].get(part, {}) for n in names for r in runs.get(n, {}).values()]
    return tuple(dict.fromkeys(c for report in reports for c in report.get('iou', {})))


def masks_table(runs: Runs, names: Sequence[str], *, against: str) -> str:
    """Tags, masks at the paper's threshold and at the best one, IoU by class; and the controls."""
    runs, rows = with_controls(runs, names)
    classes = classes_of(runs, rows, 'masks')
    head = ['run', 'seeds', 'tags: mAP', 'tags: accuracy', 'always the same', 'mIoU',
            f'minus {against}', 'minus salient tags', 'mIoU, best threshold', f'minus {against}',
            *classes]  # fmt: skip
    tags = [
        ('classifier', 'mean_average_precision'), ('classifier', 'accuracy'),
        ('classifier', 'majority_accuracy'),
    ]  # fmt: skip
    body = []
    for name in rows:
        miou, best = ('masks', 'miou'), ('masks', 'miou_best_threshold')
        body.append([
            f'`{name}`', str(len(runs[name])), *cells(runs, name, tags),
            *cells(runs, name, [miou]), gain(runs, name, against, miou),
            spread(over_control(runs, name)),
            *cells(runs, name, [best]), gain(runs, name, against, best),
            *cells(runs, name, [('masks', 'iou', c) for c in classes]),
        ])  # fmt: skip
    return table(head, body, right=True)


def verdict(runs: Runs, names: Sequence[str]) -> str:
    """In words, whether runs have better masks than what is salient and the first tag."""
    sentences = []
    for name in (name for name in names if name in runs):
        found = [difference for difference in over_control(runs, name) if np.isfinite(difference)]
        if not found:
            continue
        better = sum(difference > 0.0 for difference in found)
        sentences.append(
            f'Masks of `{name}` are better than those of salient pixels with the first tag, '
            f'without learning, in {better} of {len(found)} seeds ({spread(found)} points).'
        )
    return ' '.join(sentences)


def overlaps_table(runs: Runs, names: Sequence[str]) -> str:
    """Where the overlaps lie that tau is compared with, after training."""
    edges = ('to_0.2', '0.2_to_0.4', '0.4_to_0.6', 'above_0.6')
    head = [
        'run',
        'classes of images',
        'held, %',
        *(f'overlap {e.replace("_", " ")}, %' for e in edges),
    ]
    own = ('classifier', 'overlaps')
    body = [
        [f'`{name}`', *cells(runs, name, [(*own, 'pairs')], 1.0, 0),
         *cells(runs, name, [(*own, 'held'), *((*own, edge) for edge in edges)])]
        for name in names
        if name in runs
    ]  # fmt: skip
    return table(head, body, right=True)


def pairs_table(runs: Runs, names: Sequence[str] = ('cam', 'eps')) -> str:
    """What was taken for a class, over what it was rightly taken for, and what is seen with it."""
    head = ['run', *(f'{thing} / {name}' for name, thing in CONFUSED)]
    paths = [('masks', 'confusions', *pair) for pair in CONFUSED]
    known = [name for name in names if name in runs]
    body = [[f'`{name}`', *cells(runs, name, paths, 1.0, 3)] for name in known]
    if len(known) == len(names) == 2:
        first, second = names
        differences = [gain(runs, second, first, path, 1.0, 3) for path in paths]
        body.append([f'`{second}` minus `{first}`', *differences])
    seen = [('masks', 'seen_with', *pair) for pair in CONFUSED]
    body += [
        ['seen in images with the class, %', *cells(runs, name, seen)] for name in known[:1]
    ]  # fmt: skip
    return table(head, body, right=True)


def segmentation_table(runs: Runs) -> str:
    """Networks on the test split, with the masks that they learnt from."""
    names = [name for name in SEGMENTATION if name in runs]
    classes = classes_of(runs, names, 'segmentation')
    head = ['run', 'seeds', 'mIoU of the masks', 'mIoU', 'minus full labels', 'mAcc', 'F 3 px',
            *classes]  # fmt: skip
    miou = ('segmentation', 'miou_nanmean')
    others = [
        ('segmentation', 'macc_nanmean'), ('segmentation', 'boundary_f_3px'),
        *(('segmentation', 'iou', c) for c in classes),
    ]  # fmt: skip
    body = [
        [f'`{n}`', str(len(runs[n])), *cells(runs, n, [('masks', 'miou'), miou]),
         gain(runs, n, SEGMENTATION[n], miou), *cells(runs, n, others)]
        for n in names
    ]  # fmt: skip
    return table(head, body, right=True)


def page(text: str, runs: Runs) -> str:
    """The page with its tables."""
    for name, rows in MASKS.items():
        section = masks_table(runs, rows, against=AGAINST.get(name, 'eps'))
        if name in ('method', 'streets', 'heat'):
            section = '\n\n'.join(part for part in (section, verdict(runs, rows)) if part)
        text = replace_section(text, f'eps {name}', section)
    text = replace_section(text, 'eps overlaps', overlaps_table(runs, OVERLAPS))
    text = replace_section(text, 'eps pairs', pairs_table(runs))
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
