# SPDX-License-Identifier: Apache-2.0
"""Whether runs have the weights that they were tuned to, and what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.markdown import table
from training.cekd_tables import Runs, spread
from training.channel_wise_alike import differing
from training.records import read_record

Tuned = Mapping[str, Mapping[str, Any]]


def read_tuned(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of tuning by the name of the configuration; none where there is no folder."""
    records = (read_record(path) for path in sorted(folder.glob('*.json')))
    return {record['name']: record for record in records}


def check_tuned(runs: Runs, tuned: Tuned) -> None:
    """Refuse runs whose terms are not those that were tuned, or that were tuned as another run.

    Args:
        runs: records by name and seed.
        tuned: records of tuning; a row without one is not checked.

    Raises:
        ConfigError: weights or other settings differ, or the world does.
    """
    for name, tuning in tuned.items():
        for seed, record in runs.get(name, {}).items():
            found, chosen = _weights(record), dict(tuning['weights'])
            if found != chosen or _unweighted(record) != _unweighted(tuning):
                raise ConfigError(
                    f'{name}, seed {seed}, must have the terms that it was tuned to, {chosen}, '
                    f'got {found}: run it again with them, or tune it again'
                )
            if others := differing(tuning, record) - {'frame_keys.test'}:
                raise ConfigError(
                    f'{name}, seed {seed}, must be the run that was tuned, others are '
                    f'{", ".join(sorted(others))}: tune it again'
                )


def check_budgets(tuned: Tuned) -> None:
    """Refuse rows that were tuned with unequal effort.

    Raises:
        ConfigError: ratios, seeds or steps of two records differ; rows without terms have no
            ratios.
    """
    first = next((name for name, record in tuned.items() if _terms(record)), '')
    for name, record in tuned.items():
        own, expected = _budget(record), _budget(tuned.get(first, record))
        if any(own[key] != expected[key] for key in own):
            raise ConfigError(
                f'all rows must be tuned with the effort of {first}, {expected}, got '
                f'{name} with {own}: tune it again'
            )


def _budget(record: Mapping[str, Any]) -> dict[str, Any]:
    budget = {'seeds': record['seeds'], 'steps': record['steps']}
    if _terms(record):
        budget['ratios'] = sorted(map(float, record['tried']))
    return budget


def untuned(runs: Runs, tuned: Tuned) -> list[str]:
    """Names of the runs with terms that were not tuned."""
    return [
        name
        for name, records in runs.items()
        if any(_terms(record) for record in records.values()) and name not in tuned
    ]


def tuning_section(runs: Runs, tuned: Tuned) -> str:
    """What each configuration was tuned to, and which runs were not tuned."""
    parts = [_tuning_table(list(tuned.values()))] if tuned else []
    if names := untuned(runs, tuned):
        rows = ', '.join(f'`{name}`' for name in names)
        parts.append(f'Not tuned, with the weights of their files: {rows}.')
    return '\n\n'.join(parts)


def _tuning_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Mean IoU on the validation split by ratio, with a star where the choice is at the edge."""
    ratios = sorted({ratio for record in records for ratio in record['tried']}, key=float)
    body = []
    for record in records:
        tried: Mapping[str, Any] = record['tried']
        cells = [_tried(tried.get(ratio)) for ratio in ratios]
        weights = ', '.join(f'{weight:g}' for weight in record['weights'].values()) or '-'
        budget = f'{len(record["seeds"])} x {record["steps"]}'
        body.append([f'`{record["name"]}`', budget, *cells, _chosen(record), weights])
    head = ['run', 'seeds x steps', *(f'ratio {ratio}' for ratio in ratios), 'chosen', 'weight']
    return table(head, body, right=True)


def _chosen(record: Mapping[str, Any]) -> str:
    """The chosen ratio, with a star where a better one may lie beyond those that were tried."""
    ratios = sorted(map(float, record['tried']))
    chosen: str = record['chosen']
    at_edge = len(ratios) > 1 and float(chosen) in (ratios[0], ratios[-1])
    return f'{chosen} *' if at_edge else chosen


def _tried(found: Mapping[str, Any] | None) -> str:
    """Mean and spread over the seeds; a dash where a run diverged, nothing where none was made."""
    if found is None:
        return ''
    values = [own['miou_nanmean'] for own in found['by_seed'].values()]
    return '-' if None in values else spread([100.0 * value for value in values])


def _terms(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    terms: list[dict[str, Any]] = record['config']['terms']
    return terms


def _weights(record: Mapping[str, Any]) -> dict[str, float]:
    return {f'{term["loss"]}_{term["at"]}': term['weight'] for term in _terms(record)}


def _unweighted(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in term.items() if k != 'weight'} for term in _terms(record)]
