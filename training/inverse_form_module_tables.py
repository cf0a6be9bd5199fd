# SPDX-License-Identifier: Apache-2.0
"""Tables of inverse networks: how well they estimate transforms, and losses against shifts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kd_perception.markdown import table
from training.cekd_tables import Record, Runs, spread
from training.plane_transforms import NAMES

MODULES = (
    *('full', 'tile48', 'tile64', 'homography', 'cekd_inverse_form', 'shifts', 'stn_inverse'),
    *('dense_small', 'cnn_flatten', 'cnn_gap', 'cnn_gap_coordinates', 'correlation', 'random'),
    'thermal_seg_s',
)
"""Records with an inverse network of their own; other rows share one of these."""

SHIFTS = 'shifts'
"""Run whose record holds the losses against the shift."""

_SHIFTS = NAMES[:2]


def reports(runs: Runs, name: str) -> list[Mapping[str, Any]]:
    """What the records of a run tell of its inverse network; nothing where they have none."""
    found = [record['metrics'].get('inverse') for record in runs.get(name, {}).values()]
    return [report for report in found if report]


def of_random_transforms(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a report that is about random transforms of the ranges."""
    found: Mapping[str, Any] = report.get('on_random_transforms', report)
    return found


def explained(found: Sequence[Mapping[str, Any]], parameter: str) -> str:
    """Share of the variance of a parameter that is explained, of random transforms, in percent."""
    shares = [of_random_transforms(each)['explained'].get(parameter) for each in found]
    known = [100.0 * share for share in shares if share is not None]
    return spread(known) if known else ''


def modules_table(runs: Runs) -> str:
    """What each inverse network explains of held-out transforms, and how large its gradients are.

    All but one column are about random transforms; that of its sampler is filled in where a
    network has learnt from others.
    """
    head = [
        *('run', 'tile [px]', 'shift to [px]', 'zoom to', 'weights', 'refused below [%]'),
        *('explained [%]', 'of its sampler [%]', *NAMES, 'gradient', 'scaled by'),
    ]
    body = [
        [f'`{name}`', *_sizes(_first(runs, name)), *_shares(reports(runs, name))]
        for name in MODULES
        if reports(runs, name)
    ]
    return table(head, body, right=True)


def _first(runs: Runs, name: str) -> Record:
    return next(iter(runs[name].values()))


def _sizes(record: Record) -> list[str]:
    own, report = record['config']['inverse'], record['metrics']['inverse']
    tile, ranges = own['network']['tile'], own['ranges']
    return [
        str(tile),
        f'{ranges["shift"] * tile / 2.0:.1f}',
        f'{math.exp(ranges["log_scale"]):.2f}',
        f'{report["weights"]:,}',
        f'{100.0 * own["min_explained"]:.0f}',
    ]


def _shares(found: Sequence[Mapping[str, Any]]) -> list[str]:
    others = [each for each in found if 'on_random_transforms' in each]
    scales = [each['scale'] for each in found if 'scale' in each]
    return [
        spread([100.0 * of_random_transforms(each)['explained_share'] for each in found]),
        spread([100.0 * each['explained_share'] for each in others]) if others else '',
        *(explained(found, name) for name in NAMES),
        spread([each['gradient_norm'] for each in found], 4),
        spread(scales, 2) if scales else '',
    ]


def errors_table(runs: Runs) -> str:
    """RMSE of each parameter on random transforms: shifts in pixels, the others in their units."""
    names = [f'{name} [px]' if name in _SHIFTS else name for name in NAMES]
    body = [
        [f'`{name}`', *(_error(runs, name, parameter) for parameter in NAMES)]
        for name in MODULES
        if reports(runs, name)
    ]
    return table(['run', *names], body, right=True)


def _error(runs: Runs, name: str, parameter: str) -> str:
    found = [of_random_transforms(each)['rmse'].get(parameter) for each in reports(runs, name)]
    values = [value for value in found if value is not None]
    if not values:
        return ''
    tile = _first(runs, name)['config']['inverse']['network']['tile']
    unit = tile / 2.0 if parameter in _SHIFTS else 1.0
    return f'{unit * sum(values) / len(values):.3g}'


def choices_table(runs: Runs) -> str:
    """What a spatial transformer chooses: mean and spread of each parameter, in its range."""
    found = [each['choices'] for each in reports(runs, 'stn_inverse')]
    names = [name for name in NAMES if name in found[0]['spread']]
    body = [
        [part, *(spread([100.0 * each[part][name] for each in found]) for name in names)]
        for part in ('mean', 'spread')
    ]
    return table(['of the choices [% of the range]', *names], body, right=True)


def shifts_table(runs: Runs) -> str:
    """Both losses against the shift of a boundary."""
    curves = [record['metrics']['shifts'] for record in runs[SHIFTS].values()]
    head = ['shift [px]', 'balanced cross-entropy', 'InverseForm']
    body = [
        [
            str(shift),
            *(
                spread([each[name][k] for each in curves], 3)
                for name in ('cross_entropy', 'inverse_form')
            ),
        ]
        for k, shift in enumerate(curves[0]['shift_px'])
    ]
    return table(head, body, right=True)
