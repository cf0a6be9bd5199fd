# SPDX-License-Identifier: Apache-2.0
"""Tables of prior corrections, from the records of the seeds of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_perception.errors import ConfigError
from kd_perception.markdown import table
from training.data.real_tiles import NO_TEST

Record = Mapping[str, Any]

_COLUMNS: dict[str, tuple[tuple[str, ...], int]] = {
    'mIoU': (('miou_nanmean',), 1),
    'mAcc': (('macc_nanmean',), 1),
    'person': (('iou', 'person'), 1),
    'car': (('iou', 'car'), 1),
    'frequent': (('miou_frequent',), 1),
    'rare': (('miou_rare',), 1),
    'boundary F': (('boundary_f_3px',), 1),
    'ECE': (('ece',), 2),
}
"""Where a record has what a column shows, and digits of percent."""

_SPLITS = {'validation': 'Validation', 'test': 'Test', 'real_tiles': 'The four real tiles'}
_PAGE_WIDTH = 99


def prior_correction_section(records: Sequence[Record]) -> str:
    """The section of a run: what is shown, what was found, and tables by split.

    Args:
        records: one per seed, at least one, of one configuration.

    Raises:
        ConfigError: they are not alike.
    """
    if not records or not all(are_alike(record, records[0]) for record in records):
        told = [(r['seed'], list(r['shares']), r['frames']) for r in records]
        raise ConfigError(
            'records must be at least one, of the same settings, shares and frames; got '
            f'{told}: measure again'
        )
    first = records[0]
    shares = list(first['shares'])
    least = min(shares, key=float)
    parts = [f'## Prior correction of {first["name"]}', _paragraph(_introduction(records))]
    parts.append(_paragraph(_finding(records, least)))
    for split, title in _SPLITS.items():
        if split not in first['frames']:
            continue
        parts += [f'### {title}', _levels_table(records, split, shares)]
        rest = [share for share in shares if share != least]
        if rest and split != 'validation':
            parts += [
                f'Minus share {least}, seed by seed:',
                _gains_table(records, split, rest, least),
            ]
    return '\n\n'.join(parts)


def best_share(record: Record) -> str:
    """The share with the highest mIoU on the validation split."""
    shares = record['shares']
    return max(shares, key=lambda share: float(shares[share]['validation']['miou_nanmean']))


def are_alike(one: Record, other: Record) -> bool:
    """Whether two records differ in their seed only: in settings, shares and frames they agree."""

    def told(record: Record) -> Any:
        settings = {**record['config'], 'seed': None}
        return settings, list(record['shares']), record['frames'], record['data_digest']

    return bool(told(one) == told(other))


_INTRODUCTION = (
    'Written by `python -m training.prior_correction`; seeds {seeds}. The share is the part of '
    'the logarithm of the class weights that is taken back from the logits after training: 0 '
    'leaves the network as the weighted loss made it, 1 takes all of it back. Percent, mean ± '
    'sample standard deviation over the seeds, of {validation} validation and {test} test frames '
    'of the synthetic world. mIoU and mAcc are means over the classes that occur; `frequent` is '
    'the mean IoU of car, person, bike and curve, `rare` that of the others; boundary F is at 3 '
    'pixels. ECE is the calibration error of the confidence, at the temperature that the '
    'validation split asks for with that share. Of the real tiles: {no_test}; differences below '
    'about eight points mean nothing there.'
)
_TOLD = ('mIoU', 'mAcc', 'person', 'car', 'rare')


def _introduction(records: Sequence[Record]) -> str:
    seeds = ', '.join(str(record['seed']) for record in records)
    return _INTRODUCTION.format(seeds=seeds, no_test=NO_TEST, **records[0]['frames'])


def _finding(records: Sequence[Record], least: str) -> str:
    """Which share the validation split chooses, and what that of the runs changes."""
    used = f'{records[0]["config"]["prior_correction"]:g}'
    chosen = ', '.join(f'{best_share(record)} (seed {record["seed"]})' for record in records)
    text = f'Highest mIoU on the validation split: {chosen}. The runs were scored with {used}'
    if used == least or used not in records[0]['shares']:
        return f'{text}.'
    changes = [
        f'on {title.lower()} {_told_gains(records, split, used, least)}'
        for split, title in _SPLITS.items()
        if split != 'validation' and split in records[0]['frames']
    ]
    return f'{text}; against {least} that changes, in points, {"; ".join(changes)}.'


def _told_gains(records: Sequence[Record], split: str, share: str, least: str) -> str:
    return ', '.join(f'{column} {_gain(records, split, share, least, column)}' for column in _TOLD)


def _levels_table(records: Sequence[Record], split: str, shares: Sequence[str]) -> str:
    head = ['share', *_COLUMNS, 'temperature']
    body = []
    for share in shares:
        cells = [_cell(_levels(records, split, share, column), column) for column in _COLUMNS]
        temperatures = [float(record['shares'][share]['temperature']) for record in records]
        body.append([share, *cells, f'{np.mean(temperatures):.3f}'])
    return table(head, body, right=True)


def _gains_table(records: Sequence[Record], split: str, shares: Sequence[str], least: str) -> str:
    body = [
        [share, *(_gain(records, split, share, least, column) for column in _COLUMNS)]
        for share in shares
    ]
    return table(['share', *_COLUMNS], body, right=True)


def _gain(records: Sequence[Record], split: str, share: str, least: str, column: str) -> str:
    """The difference of two shares, seed by seed."""
    own, base = (_levels(records, split, each, column) for each in (share, least))
    return _cell([a - b for a, b in zip(own, base, strict=True)], column, signed=True)


def _levels(records: Sequence[Record], split: str, share: str, column: str) -> list[float]:
    """The figures of a column in percent by seed; NaN where there is none."""
    figures = []
    for record in records:
        value: Any = record['shares'][share][split]
        for name in _COLUMNS[column][0]:
            value = value[name]
        figures.append(float('nan') if value is None else 100.0 * float(value))
    return figures


def _cell(figures: Sequence[float], column: str, *, signed: bool = False) -> str:
    """Mean and spread; a dash where a seed has no figure."""
    if not np.isfinite(figures).all():
        return '-'
    digits, sign = _COLUMNS[column][1], '+' if signed else ''
    spread = f' ± {np.std(figures, ddof=1):.{digits}f}' if len(figures) > 1 else ''
    return f'{np.mean(figures):{sign}.{digits}f}{spread}'


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _PAGE_WIDTH, break_on_hyphens=False)
