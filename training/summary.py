# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over the seeds of every run of a recipe, as JSON and as tables.

    python -m training.summary --results results/supervised

writes `summary.json` beside the records and, between two marks, the tables of docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from kd_perception.markdown import replace_section
from kd_perception.world.classes import CLASS_NAMES
from training.data.real_tiles import NO_TEST
from training.records import mean_and_spread, read_record, write_record
from training.result_tables import results_section

RULE = (
    'highest synthetic validation miou among the seeds; test split and real tiles chose none of '
    f'them, but {NO_TEST}'
)
BASELINE = 'world_thermal'
UNKNOWN = 'unknown'
"""Stands where a record does not say what it was scored on."""


def summarize(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of records of one configuration and the same frames.

    Raises:
        ConfigError: no records, or of different configurations or frames.
    """
    configs = [{**r['config'], 'seed': None} for r in records]
    if not records or any(config != configs[0] for config in configs):
        raise ConfigError(
            'records must be of one configuration and at least one; got '
            f'{[r["name"] for r in records]}'
        )
    digests, keys = _frames_of(records)
    ordered = sorted(records, key=lambda record: record['seed'])
    best = max(ordered, key=lambda record: record['metrics']['synthetic_validation']['miou'])
    metrics = mean_and_spread(
        [{k: v for k, v in r['metrics'].items() if k != 'data_digest'} for r in ordered]
    )
    return {
        'recipe': records[0]['recipe'],
        'name': records[0]['name'],
        'modality': records[0].get('modality', 'thermal'),
        'trained_on': records[0]['trained_on'],
        'seeds': [record['seed'] for record in ordered],
        'best_seed': best['seed'],
        'best_by': RULE,
        'data_digest': digests,
        'frame_keys': keys,
        'metrics': metrics,
    }


def _frames_of(records: list[dict[str, Any]]) -> tuple[Any, Any]:
    """What all records learnt from and were scored on: digests of pixels, names of worlds."""
    digests = [record['metrics'].get('data_digest', UNKNOWN) for record in records]
    if any(digest != digests[0] for digest in digests):
        raise ConfigError(
            'the seeds of a run must have seen the same frames; those of '
            f'{records[0]["name"]} have not: {_differing(records, digests)}; train again those '
            'of the older world'
        )
    keys = [record.get('frame_keys', UNKNOWN) for record in records]
    return digests[0], keys[0] if all(key == keys[0] for key in keys) else UNKNOWN


def _differing(records: list[dict[str, Any]], digests: list[Any]) -> str:
    seen = [f'seed {r["seed"]}: {_short(d)}' for r, d in zip(records, digests, strict=True)]
    return ', '.join(seen)


def _short(digests: Any) -> str:
    return digests if digests == UNKNOWN else ' '.join(f'{n} {d[:8]}' for n, d in digests.items())


def summarize_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """The summaries of all runs whose records `<name>_seed<number>.json` are in a folder.

    Raises:
        ConfigError: there are none, or seeds of one run differ in their configuration or frames.
    """
    records: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob('*_seed*.json')):
        record = read_record(path)
        records.setdefault(record['name'], []).append(record)
    if not records:
        raise ConfigError(f'{folder} must hold records <name>_seed<number>.json, got none')
    return {name: summarize(records[name]) for name in sorted(records)}


def main(arguments: Iterable[str] | None = None) -> None:
    """Write the summary and the tables."""
    parser = argparse.ArgumentParser(
        description='Summarize the runs of a recipe over their seeds.'
    )
    parser.add_argument('--results', type=Path, default=Path('results/supervised'))
    parser.add_argument('--page', type=Path, default=Path('docs/results.md'))
    parser.add_argument('--baseline', default=BASELINE, help='run to compare others with')
    own = parser.parse_args(None if arguments is None else list(arguments))
    runs = summarize_folder(own.results)
    write_record(own.results / 'summary.json', {'runs': runs})
    recipe = own.results.name
    text = own.page.read_text(encoding='utf-8') if own.page.is_file() else '# Results\n'
    section = results_section(recipe, runs, baseline=own.baseline, classes=CLASS_NAMES)
    own.page.parent.mkdir(parents=True, exist_ok=True)
    own.page.write_text(replace_section(text, recipe, section), encoding='utf-8')
    for name, run in runs.items():
        print(f'{name}: seeds {run["seeds"]}, best on validation: {run["best_seed"]}')


if __name__ == '__main__':
    main()
