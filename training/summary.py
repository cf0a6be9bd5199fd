# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over the seeds of a configuration, and the seed to ship.

python -m training.summary --results results/supervised --name thermal_seg_s
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kd_perception.errors import ConfigError
from training.records import mean_and_spread, read_record, write_record

RULE = 'highest synthetic validation miou; test split and real tiles chose nothing'


def summarize(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of records of one configuration.

    Raises:
        ConfigError: no records, or of different configurations.
    """
    configs = [{**r['config'], 'seed': None} for r in records]
    if not records or any(config != configs[0] for config in configs):
        raise ConfigError(
            'records must be of one configuration and at least one; got '
            f'{[r["name"] for r in records]}'
        )
    ordered = sorted(records, key=lambda record: record['seed'])
    shipped = max(ordered, key=lambda record: record['metrics']['synthetic_validation']['miou'])
    metrics = mean_and_spread(
        [{k: v for k, v in r['metrics'].items() if k != 'data_digest'} for r in ordered]
    )
    return {
        'recipe': records[0]['recipe'],
        'name': records[0]['name'],
        'trained_on': records[0]['trained_on'],
        'seeds': [record['seed'] for record in ordered],
        'shipped_seed': shipped['seed'],
        'shipped_by': RULE,
        'metrics': metrics,
    }


def main(arguments: list[str] | None = None) -> None:
    """Write `summary.json` beside the records."""
    parser = argparse.ArgumentParser(description='Summarize the seeds of a configuration.')
    parser.add_argument('--results', type=Path, required=True)
    parser.add_argument('--name', required=True)
    own = parser.parse_args(arguments)
    paths = sorted(own.results.glob(f'{own.name}_seed*.json'))
    summary = summarize([read_record(path) for path in paths])
    write_record(own.results / 'summary.json', summary)
    print(f'{len(paths)} seeds; shipped: seed {summary["shipped_seed"]} ({RULE})')


if __name__ == '__main__':
    main()
