# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reproductions/cekd.md, from the records of the runs.

python -m training.cekd_tables
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.markdown import replace_section, table
from training.records import read_record

Record = dict[str, Any]
Runs = Mapping[str, Mapping[int, Record]]

TABLES = {
    'terms': ('full', 'segmentation', 'soft', 'segmentation_soft', 'without_edge_hint',
              'without_similarity', 'reweighed'),
    'controls': ('few_labels', 'few_labels_unfocused', 'thermal_teacher', 'rgb_teacher', 'full',
                 'all_labels', 'few_labels_long', 'full_long'),
    'scarce': ('few_labels_10', 'thermal_teacher_10', 'full_10'),
    'edges': ('no_edges', 'edge_stage1', 'edge_stage2', 'full', 'edge_stage4', 'edge_stage5',
              'image_edges'),
    'regimes': ('full', 'labels_and_teacher', 'all_labels', 'all_labels_teacher',
                'all_labels_terms', 'all_labels_joint'),
    'baselines': ('few_labels', 'unet_few', 'mfnet_few', 'full', 'all_labels', 'unet', 'mfnet'),
    'relu': ('full', 'relu'),
    'enhancement': ('kdnet', 'offset1_5', 'full', 'offset3', 'offset1', 'raw', 'two_sided'),
}  # fmt: skip
"""Rows of each table by the name of its section."""

AGAINST = {'controls': 'few_labels', 'scarce': 'few_labels_10'}
"""The run that the others of a table are compared with, where it is not `full`."""

COMPRESSED = (
    *('small_few_labels', 'small_from_student', 'small_soft'),
    *('small_reweighed', 'small_thermal_teacher', 'small_from_teacher', 'small_all_labels'),
    *('small_labels_and_teacher', 'small_labels_and_best_teacher'),
    *('large_from_student', 'large_from_teacher'),
)
"""Rows of the table of compression."""

COLUMNS = {
    'miou': 'mIoU, absent = 0',
    'miou_nanmean': 'mIoU',
    'macc': 'mAcc, absent = 0',
    'macc_nanmean': 'mAcc',
    'miou_hot': 'hot',
    'miou_cold': 'cold',
    **{f'boundary_f_{k}px': f'F {k} px' for k in (1, 2, 3, 5)},
}

EXPONENTS = ('mean', 'least', 'most')
"""What is told of the exponents that a student chooses."""


def read_runs(folder: Path) -> dict[str, dict[int, Record]]:
    """Records by the name of the run and the seed."""
    runs: dict[str, dict[int, Record]] = {}
    for path in sorted(folder.glob('*_seed*.json')):
        record = read_record(path)
        runs.setdefault(record['name'], {})[record['seed']] = record
    return runs


def metric(record: Record, role: str, *names: str) -> float:
    """A number of a role's report, in percent; NaN where it is not known."""
    value: Any = record['metrics'].get(role, {})
    for name in names:
        value = value.get(name) if value else None
    return float('nan') if value is None else 100.0 * float(value)


def spread(values: Sequence[float | None], digits: int = 1) -> str:
    """Mean and sample standard deviation, or a dash."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    if not known:
        return '-'
    deviation = f' ± {np.std(known, ddof=1):.{digits}f}' if len(known) > 1 else ''
    return f'{np.mean(known):.{digits}f}{deviation}'


def means_table(runs: Runs, names: Sequence[str], role: str, *, against: str) -> str:
    """One row per run on the test split, and its gain over another run, seed by seed."""
    head = ['run', 'seeds', *COLUMNS.values(), f'mIoU, minus {against}']
    body = []
    for name in names:
        if name not in runs:
            continue
        records = runs[name]
        cells = [
            spread([metric(record, role, 'test', column) for record in records.values()])
            for column in COLUMNS
        ]
        both = sorted(records.keys() & runs.get(against, {}).keys())
        gains = [
            metric(records[seed], role, 'test', 'miou_nanmean')
            - metric(runs[against][seed], role, 'test', 'miou_nanmean')
            for seed in both
        ]
        gain = '' if name == against else spread(gains)
        body.append([f'`{name}`', str(len(records)), *cells, gain])
    return table(head, body, right=True)


def classes_table(runs: Runs, names: Sequence[str], role: str) -> str:
    """Intersection over union by class on the test split."""
    classes = class_names(runs, names, role)
    body = [
        [
            f'`{name}`',
            *(
                spread([metric(r, role, 'test', 'iou', c) for r in runs[name].values()])
                for c in classes
            ),
        ]
        for name in names
        if name in runs
    ]
    return table(['run', *classes], body, right=True)


def contrast_table(runs: Runs, names: Sequence[str]) -> str:
    """The exponent of the enhancement, and contrast at label boundaries after it over before."""
    told = {name: _enhancements(runs[name]) for name in names if name in runs}
    classes = dict.fromkeys(
        c for known in told.values() for one in known for c in one['contrast_ratio']
    )
    body = [
        [
            f'`{name}`',
            *(spread([one['exponent'][part] for one in known], 2) for part in EXPONENTS),
            *(spread([one['contrast_ratio'].get(c) for one in known], 2) for c in classes),
        ]
        for name, known in told.items()
        if known
    ]
    head = ['run', *(f'exponent, {part}' for part in EXPONENTS), *classes]
    return table(head, body, right=True)


def _enhancements(records: Mapping[int, Record]) -> list[dict[str, Any]]:
    students = [record['metrics'].get('student', {}) for record in records.values()]
    return [one['enhancement'] for one in students if 'enhancement' in one]


def class_names(runs: Runs, names: Sequence[str], role: str) -> tuple[str, ...]:
    """The classes that some runs were scored on, in the order of their label set."""
    records = [record for name in names for record in runs.get(name, {}).values()]
    reports = [record['metrics'].get(role, {}).get('test', {}) for record in records]
    return tuple(dict.fromkeys(name for report in reports for name in report.get('iou', {})))


def section(runs: Runs, names: Sequence[str], *, against: str = 'full') -> str:
    """Both tables of the students of some runs."""
    parts = (
        means_table(runs, names, 'student', against=against),
        classes_table(runs, names, 'student'),
    )
    return '\n\n'.join(parts)


def teachers_section(runs: Runs) -> str:
    """The teachers of the runs that differ in theirs."""
    names = [*TABLES['edges'], 'thermal_teacher', 'rgb_teacher', 'relu', 'all_labels_teacher',
             'all_labels_joint', 'full_10', 'thermal_teacher_10']  # fmt: skip
    return means_table(runs, names, 'teacher', against='full')


def compression_table(compressed: Runs, runs: Runs) -> str:
    """Compressed networks on the test split, and what they keep of EKNet's mIoU, seed by seed."""
    head = ['run', 'seeds', 'mIoU', 'mAcc', 'car', 'person', 'F 3 px', 'mIoU of `full`: kept']
    body = [
        [f'`{name}`', str(len(compressed[name])), *_compressed_cells(compressed[name], runs)]
        for name in COMPRESSED
        if name in compressed
    ]
    return table(head, body, right=True)


def _compressed_cells(records: Mapping[int, Record], runs: Runs) -> list[str]:
    paths = (['miou_nanmean'], ['macc_nanmean'], ['iou', 'car'], ['iou', 'person'])
    cells = [
        spread([metric(record, 'synthetic_test', *path) for record in records.values()])
        for path in (*paths, ['boundary_f_3px'])
    ]
    eknet = runs.get('full', {})
    kept = [
        100.0
        * metric(records[seed], 'synthetic_test', 'miou_nanmean')
        / metric(eknet[seed], 'student', 'test', 'miou_nanmean')
        for seed in sorted(records.keys() & eknet.keys())
    ]
    return [*cells, f'{spread(kept)} %' if kept else '-']


def sizes_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Weights and time of networks alone, from what `benchmarks.network_sizes` wrote."""
    body = [
        [
            line['network'],
            f'{line["weights"] / 1e6:.2f} M',
            f'{line["ms"]:.1f}',
            f'{line["times_rep_unet_s"]:.1f}',
        ]
        for line in lines
        if 'network' in line
    ]
    return table(['network', 'weights', 'median [ms]', 'times `rep_unet_s`'], body, right=True)


def page(
    text: str,
    runs: Runs,
    compressed: Runs | None = None,
    sizes: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page with its tables."""
    if sizes:
        text = replace_section(text, 'cekd sizes', sizes_table(sizes))
    if compressed:
        found = compression_table(compressed, runs)
        text = replace_section(text, 'cekd compression', found)
    for name, rows in TABLES.items():
        found = section(runs, rows, against=AGAINST.get(name, 'full'))
        text = replace_section(text, f'cekd {name}', found)
    contrast = contrast_table(runs, TABLES['enhancement'])
    text = replace_section(text, 'cekd contrast', contrast)
    return replace_section(text, 'cekd teachers', teachers_section(runs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description='Write the tables of CEKD from its records.')
    parser.add_argument('--results', type=Path, default=Path('results/cekd'))
    parser.add_argument('--compressed', type=Path, default=Path('results/compress'))
    parser.add_argument('--sizes', type=Path, default=Path('results/latency/network_sizes.jsonl'))
    parser.add_argument('--page', type=Path, default=Path('docs/reproductions/cekd.md'))
    own = parser.parse_args(arguments)
    text = own.page.read_text(encoding='utf-8')
    sizes = own.sizes.read_text(encoding='utf-8').splitlines() if own.sizes.exists() else []
    text = page(
        text,
        read_runs(own.results),
        read_runs(own.compressed),
        [json.loads(line) for line in sizes],
    )
    own.page.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
