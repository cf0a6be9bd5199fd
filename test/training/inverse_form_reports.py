# SPDX-License-Identifier: Apache-2.0
"""Records of InverseForm made by hand, for the tests of its tables."""

from __future__ import annotations

import math

from training.records import write_record


def student_report(miou, boundary, **inverse):
    """Metrics of a student; `inverse` is told of its inverse network."""
    names = ('miou_nanmean', 'macc_nanmean')
    bounds = {f'boundary_f_{k}px': boundary for k in (1, 2, 3, 5)}
    found = {
        'test': {**dict.fromkeys(names, miou), **bounds},
        'weights': {'training': 1500, 'deployed': 1200},
        'training_seconds': 90.0,
    }
    return {**found, 'inverse': inverse} if inverse else found


def module_report(share, **more):
    """What is told of an inverse network that explains a share of what it sees."""
    return {
        'explained_share': share,
        'explained': {'shift_x': share, 'log_scale_x': share / 2},
        'rmse': {'shift_x': 0.1, 'log_scale_x': 0.2},
        'weights': 1000,
        'gradient_norm': 0.02,
        'training_seconds': 30.0,
        **more,
    }


def settings_of(tile=32, shift=0.5, gate=0.5):
    """The part of a configuration that the tables look at."""
    ranges = {'shift': shift, 'log_scale': math.log(1.5)}
    return {'inverse': {'network': {'tile': tile}, 'ranges': ranges, 'min_explained': gate}}


def write_rows(folder, rows):
    """Write a record for each seed of each row: {name: (settings, [metrics, ...])}."""
    for name, (settings, reports) in rows.items():
        for seed, metrics in enumerate(reports):
            record = {'name': name, 'seed': seed, 'metrics': metrics, 'config': settings}
            write_record(folder / f'{name}_seed{seed}.json', record)
